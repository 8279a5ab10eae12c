"""The pack loads as ComfyUI loads it: from a folder of any name, under any module name, alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ["diffusers", "kornia", "transformers", "numba", "torchvision", "pytest"]

# Loads the folder argv[1] the way ComfyUI does and reports what happened.
LOADER = """
import importlib.util, json, sys, time
folder = sys.argv[1]
name = folder.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, folder + "/__init__.py")
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
bare = sorted(sys.modules)
has_entrypoint = hasattr(module, "comfy_entrypoint")
import torch
start = time.perf_counter()
nodes = module.NODE_CLASS_MAPPINGS
titles = module.NODE_DISPLAY_NAME_MAPPINGS
inputs = {key: list(node.INPUT_TYPES()["required"]) for key, node in nodes.items()}
print(json.dumps({
    "bare": bare, "modules": sorted(sys.modules), "ids": sorted(nodes), "titles": sorted(titles),
    "inputs": inputs, "web": module.WEB_DIRECTORY, "has_entrypoint": has_entrypoint,
    "file": sys.modules[nodes["CLDIS_Decode"].__module__].__file__,
    "seconds": time.perf_counter() - start,
}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("custom_nodes") / "odd name-1.2"
    folder.symlink_to(ROOT, target_is_directory=True)
    # From another working directory, so that the checkout is not importable by accident.
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(folder)],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"folder": str(folder), "stderr": done.stderr}


def test_the_pack_loads_from_an_oddly_named_folder(loaded: dict) -> None:
    listed = json.loads((ROOT / "node_list.json").read_text(encoding="utf-8"))
    assert loaded["ids"] == loaded["titles"] == sorted(listed)
    assert loaded["file"].startswith(loaded["folder"])
    assert loaded["stderr"] == ""


def test_only_one_registration_form(loaded: dict) -> None:
    assert not loaded["has_entrypoint"]


def test_the_bare_import_touches_nothing(loaded: dict) -> None:
    assert "torch" not in loaded["bare"]
    assert not any("comfyui_cldis" in name for name in loaded["bare"])


def test_listing_the_nodes_imports_nothing_heavy(loaded: dict) -> None:
    assert not set(HEAVY) & set(loaded["modules"])
    assert not {"comfy", "folder_paths", "server", "trainer"} & set(loaded["modules"])
    assert loaded["seconds"] < 2  # 0.2 s on an idle machine; this catches a heavy import only


def test_the_web_directory_is_there(loaded: dict) -> None:
    assert (ROOT / loaded["web"] / "docs").is_dir()
    assert not list((ROOT / loaded["web"]).rglob("*.py"))
