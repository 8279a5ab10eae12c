"""A ComfyUI that lacks a package, or has a broken one: every node stays, and says what to run."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, NODES, packages

ROOT = Path(__file__).resolve().parents[2]
SIGNATURES = json.loads((ROOT / "tests/nodes/signatures.json").read_text(encoding="utf-8"))
IDS = [row[0] for row in NODES]

# Loads the folder argv[1] as ComfyUI does, with the packages argv[2:] hidden, and runs each node.
LOADER = """
import importlib.util, json, logging, sys
folder, *hidden = sys.argv[1:]
for name in hidden:
    sys.modules[name] = None
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
spec = importlib.util.spec_from_file_location("odd_x_pack", folder + "/__init__.py")
module = importlib.util.module_from_spec(spec)
sys.modules["odd_x_pack"] = module
spec.loader.exec_module(module)
nodes = module.NODE_CLASS_MAPPINGS
assert list(nodes) == list(module.NODE_DISPLAY_NAME_MAPPINGS)
heavy = "diffusers" in sys.modules and sys.modules["diffusers"] is not None
found = {}
for key, node in nodes.items():
    types = node.INPUT_TYPES()
    inputs = {**types["required"], **types.get("optional", {})}
    values = {name: (spec[1:] or [{}])[0].get("default", "x") for name, spec in inputs.items()}
    try:
        getattr(node(), node.FUNCTION)(**(values or {"model": "linked, though not declared"}))
        raised = "nothing"
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    found[key] = {"inputs": list(inputs), "outputs": node.RETURN_TYPES, "error": raised}
print(json.dumps({"nodes": found, "heavy": heavy}))
"""


def load(*hidden: str, path: Path | None = None) -> tuple[dict[str, Any], list[str]]:
    """What each node says in a process of its own, and the lines of its log."""
    before = f"import sys\nsys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run(
        [sys.executable, "-c", before + LOADER, str(ROOT), *hidden],
        cwd=ROOT.anchor,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["heavy"]  # asking for the nodes has imported nothing heavy
    assert list(found["nodes"]) == IDS
    return found["nodes"], done.stderr.splitlines()


def test_without_diffusers_every_node_names_it_and_the_command() -> None:
    nodes, log = load("diffusers")
    sentence = (
        "needs diffusers, which is not installed in ComfyUI's Python. "
        "Run this in a terminal, then restart ComfyUI: "
        f"{packages.install_command(['diffusers'])}"
    )
    for node_id, found in nodes.items():
        assert found["error"] == f"RuntimeError: This node {sentence}", node_id
        assert found["inputs"] == [entry[0] for entry in SIGNATURES[node_id]["inputs"]]
    assert log == [f"WARNING CLDis {sentence}"]


def test_without_a_package_that_every_file_imports_the_nodes_stay() -> None:
    nodes, log = load("safetensors", "kornia")
    for node_id, found in nodes.items():
        assert found["error"].startswith("RuntimeError: This node needs kornia, safetensors, which")
        assert found["outputs"] == [kind for _, kind in SIGNATURES[node_id]["returns"]]
    assert len(log) == 1 and log[0].startswith("WARNING CLDis needs kornia, safetensors, which are")


def test_a_broken_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "diffusers").mkdir()
    (tmp_path / "diffusers" / "__init__.py").write_text("raise OSError('c10.dll not found')\n")
    nodes, log = load(path=tmp_path)
    sentence = (
        "RuntimeError: The package diffusers is installed in ComfyUI's Python, but importing it "
        "fails (OSError: c10.dll not found). Update it in a terminal, then restart ComfyUI: "
    )
    for node_id, found in nodes.items():
        assert found["error"].startswith(sentence), node_id
        assert sys.executable in found["error"]
        assert found["error"].endswith("-m pip install -U diffusers")
    assert not log  # it looks whole until it is imported


def test_a_node_whose_own_file_fails_leaves_the_others_alone() -> None:
    nodes, log = load("odd_x_pack.comfyui_cldis.nodes.edit")
    broken = [key for key, found in nodes.items() if "cannot be loaded" in found["error"]]
    assert broken == ["CLDIS_EditDirection", "CLDIS_EditSliders"]
    assert nodes["CLDIS_EditSliders"]["error"].endswith("Install CLDis anew, then restart ComfyUI.")
    assert [line for line in log if "cannot be loaded" in line] == log[:2]


@pytest.mark.parametrize(
    ("node_id", "module", "package"),
    [
        ("CLDIS_TrackContent", "cv2", "opencv-python-headless"),
        ("CLDIS_Train", "accelerate", "accelerate"),
        ("CLDIS_Train", "rich", "rich"),
    ],
)
def test_what_single_nodes_need(
    run, monkeypatch, caplog, loaded, node_id: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    given = {"model": loaded} if node_id == "CLDIS_TrackContent" else {}
    with pytest.raises(RuntimeError, match=f"This node needs {package}, which is") as caught:
        run(node_id, **given)
    assert str(caught.value).endswith(f" -m pip install {package}")
    run("CLDIS_ModelInfo", model=loaded)
    with caplog.at_level(logging.INFO):
        packages.log_missing()
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert f" needs {package}, which is not installed" in caplog.text


def test_the_built_in_heads_need_numba(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(RuntimeError, match="This node needs numba, which is not installed"):
        run("CLDIS_Train", folder="heads")
    with pytest.raises(ValueError, match="Give the images one way"):
        run("CLDIS_Train")


def test_one_command_installs_all_that_a_node_lacks() -> None:
    command = packages.install_command(["kornia", "rich"])
    assert command.endswith(f"-m pip install -r {ROOT / 'requirements.txt'} rich")


def test_the_command_of_the_portable_build(monkeypatch, tmp_path: Path) -> None:
    folder = tmp_path / "python_embeded"
    folder.mkdir()
    (folder / "python312._pth").touch()
    monkeypatch.setattr(sys, "platform", "win32")
    for name, quote in (("python.exe", ""), ("my python.exe", '"')):
        monkeypatch.setattr(sys, "executable", str(folder / name))
        command = packages.install_command(["accelerate"])
        python = f"{quote}{folder / name}{quote}"
        assert command == f"{python} -s -m pip install accelerate"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_the_packages_are_those_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def names(lines: list[str]) -> set[str]:
        return {re.split("[>;]", line)[0] for line in lines}

    assert packages.BASE.keys() == names(project["dependencies"])
    assert packages.TRACKING.keys() == names(extras["tracking"])
    left = {"torch", "tensorboard", "tomli"}  # ComfyUI's, optional, of older Pythons
    training = packages.TRAINING.keys() | packages.HEADS.keys()
    assert training == names(extras["train"]) - left


def test_nothing_is_missing_here() -> None:
    groups = (packages.BASE, packages.TRACKING, packages.TRAINING, packages.HEADS)
    assert packages.missing(*groups) == []
    packages.require(*groups)
    assert NODE_CLASS_MAPPINGS.keys() == SIGNATURES.keys()
