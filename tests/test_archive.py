"""The archive that the registry hands out: what is in it, how large it is, and that it loads."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN = (
    *("__init__.py", "LICENSE", "README.md", "CHANGELOG.md", "node_list.json", "pyproject.toml"),
    *("requirements.txt", "comfyui_cldis/assets/heads64.safetensors", "docs/README.md"),
    *("comfyui_cldis/assets/samples/head_01.png", "comfyui_cldis/datasets/heads/CREDITS.md"),
    *("comfyui_cldis/datasets/heads/head.npz", "comfyui_cldis/nodes/__init__.py"),
    *("trainer/run.py", "trainer/config/presets/cpu64.toml"),
)
# Whole folders: what the frontend and the templates' browser pick up.
FOLDERS_IN = ("comfyui_cldis/web/docs/", "workflows/", "subgraphs/", "locales/")
OUT = ("tests/", "benchmarks/", "sweeps/", ".ci/", ".github/", "docs/log/", "CONTRIBUTING.md")
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif"}
LIMIT_MB = 16
LIMIT_FILE_KB = 300  # of all but the bundled model

REFUSED_MODULES = {
    *("subprocess", "pickle", "marshal", "shelve", "dill", "ctypes", "pty", "multiprocessing"),
    *("socket", "urllib", "requests", "http", "httpx", "ftplib", "telnetlib", "smtplib"),
    *("huggingface_hub", "webbrowser", "pip"),
}
REFUSED_CALLS = {"eval", "exec", "compile", "__import__"}
REFUSED_OF_OS = {"system", "popen", "startfile", "fork", "execv", "execve", "spawnv", "spawnl"}
# Parts of this pack that are imported by name, when they are needed.
MAY_IMPORT_BY_NAME = {
    "comfyui_cldis/nodes/__init__.py",
    "comfyui_cldis/nodes/packages.py",
    "comfyui_cldis/trainer_door.py",
}

# Loads the folder argv[1] as ComfyUI does, and draws an edit with its nodes.
LOADER = """
import importlib.util, json, os, sys
folder = sys.argv[1]
name = folder.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "__init__.py"))
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
nodes = module.NODE_CLASS_MAPPINGS
run = lambda key, **inputs: nodes[key]().execute(**inputs)[0]
model = run("CLDIS_LoadModel", model_name="cldis_demo (bundled)", dtype="auto")
image = run("CLDIS_SampleImage", sample="3 long black hair", batch_size=1)
latent = run("CLDIS_Encode", model=model, image=image, inversion_steps=0, resize="crop")
same = run("CLDIS_EditSliders", model=model, latent=latent, edits="{}")
moved = run("CLDIS_EditSliders", model=model, latent=latent, edits='{"skin": 1.5}')
settings = dict(sampler="ddim", steps=2, noise="inverted", seed=0, size="original")
drawn = [run("CLDIS_Decode", model=model, latent=each, **settings) for each in (same, moved)]
print(json.dumps({
    "ids": sorted(nodes), "web": os.path.isdir(os.path.join(folder, module.WEB_DIRECTORY, "docs")),
    "file": sys.modules[nodes["CLDIS_Decode"].__module__].__file__,
    "unedited": float((drawn[0] - image).abs().max()),
    "edited": float((drawn[1] - image).abs().max()),
    "comfy": [key for key in ("comfy", "folder_paths", "server") if key in sys.modules],
}))
"""


def git(*words: str) -> list[str]:
    try:
        done = subprocess.run(("git", *words, "-z"), cwd=ROOT, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("git is not installed, and what is shipped is what git tracks")
    if done.returncode:
        pytest.skip(f"this is no git checkout, so nothing is known to be shipped: {done.stderr!r}")
    return [name for name in done.stdout.decode().split("\0") if name]


@pytest.fixture(scope="module")
def shipped() -> list[str]:
    """The names of the archive's files: those that git tracks, without those of .comfyignore."""
    tracked = git("ls-files", "--cached")
    ignored = git("ls-files", "--cached", "--ignored", "--exclude-from=.comfyignore")
    return sorted({name for name in tracked if (ROOT / name).is_file()} - {*ignored})


@pytest.fixture(scope="module")
def archive(shipped: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "node.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in shipped:
            file.write(ROOT / name, name)
    return path


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("custom_nodes") / "cldis-sliders-nightly"
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def test_what_users_need_is_in(shipped: list[str]) -> None:
    assert not {*IN} - {*shipped}
    for folder in FOLDERS_IN:
        on_disk = git("ls-files", folder)
        assert {*on_disk} <= {*shipped}, f"something of {folder} is left out"
    # A template's thumbnail and a page's picture travel with it.
    templates = [name for name in shipped if name.startswith("workflows/")]
    assert {Path(name).suffix for name in templates} == {".json", ".jpg"}


def test_what_developers_need_is_out(shipped: list[str]) -> None:
    assert not [name for name in shipped if name.startswith(OUT)]
    of_tests = re.compile(r"(^|/)(tests?/|test_|conftest|\.)|\.test\.")
    assert not [name for name in shipped if of_tests.search(name)]
    pictures = [name for name in shipped if Path(name).suffix in PICTURES]
    assert not [name for name in pictures if name.startswith("docs/")]


def test_all_that_is_shipped_is_of_a_known_kind(shipped: list[str]) -> None:
    kinds = {Path(name).suffix for name in shipped} - PICTURES
    known = {".py", ".md", ".json", ".toml", ".js", ".css", ".npz", ".txt", ".typed", ""}
    assert kinds <= {*known, ".safetensors"}
    assert [name for name in shipped if not Path(name).suffix] == ["LICENSE"]


def test_the_archive_is_small(archive: Path, shipped: list[str]) -> None:
    assert archive.stat().st_size < LIMIT_MB * 1e6
    large = {name for name in shipped if (ROOT / name).stat().st_size > LIMIT_FILE_KB * 1000}
    assert large == {"comfyui_cldis/assets/heads64.safetensors"}


def test_nothing_runs_programs_opens_connections_or_reads_pickles(shipped: list[str]) -> None:
    wrong = [
        f"{name}:{line} {fault}"
        for name in shipped
        if name.endswith(".py")
        for line, fault in faults(ast.parse((ROOT / name).read_text(encoding="utf-8")))
        if fault != "imports by name" or name not in MAY_IMPORT_BY_NAME
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "code",
    [
        *("import subprocess", "from urllib.request import urlopen", "import os.path, socket"),
        *(
            "import pickle as p",
            "model.eval()",
            "exec(text)",
            "__import__('os')",
            "os.system('ls')",
        ),
        *("from os import popen", "importlib.import_module(name)", "np.load(f, allow_pickle=True)"),
        *("torch.load(f, weights_only=False)", "torch.load(f)", "joblib.load(f)"),
    ],
)
def test_faults_are_found(code: str) -> None:
    assert list(faults(ast.parse(code)))


def test_the_scripts_stay_within_the_page_and_its_server(shipped: list[str]) -> None:
    refused = re.compile(
        r"\beval\s*\(|new Function|\bimport\s*\(|https?://|wss?://|XMLHttpRequest|sendBeacon|"
        r"\.innerHTML|document\.write|localStorage|document\.cookie"
    )
    wrong = [
        f"{name}:{number} {found[0]}"
        for name in shipped
        if name.endswith((".js", ".mjs", ".css", ".html"))
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1)
        if (found := refused.search(line))
    ]
    assert not wrong, "\n".join(wrong)


def faults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What a scanner of packs refuses in a file: its line, and what it is."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            relative = isinstance(node, ast.ImportFrom) and node.level
            whole = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            modules = [whole] if whole else [alias.name for alias in node.names]
            for module in [] if relative else modules:
                if module.split(".")[0] in REFUSED_MODULES:
                    yield node.lineno, f"imports {module}"
            if whole == "os" and REFUSED_OF_OS & {alias.name for alias in node.names}:
                yield node.lineno, "starts programs"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, name = called.rpartition(".")
            options = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if called in REFUSED_CALLS or name in {"eval", "exec", "__import__"}:
                yield node.lineno, f"calls {called}"
            if owner == "os" and name in REFUSED_OF_OS:
                yield node.lineno, f"calls {called}"
            if name == "import_module":
                yield node.lineno, "imports by name"
            if options.get("allow_pickle") == "True" or owner in ("joblib", "dill"):
                yield node.lineno, f"unpickles by {called}"
            if called == "torch.load" and options.get("weights_only") != "True":
                yield node.lineno, "unpickles by torch.load"


def test_the_rules_of_the_registry_find_nothing(unpacked: Path) -> None:
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    rules = ("--isolated", "--select", "S102,S307,E702", "--ignore-noqa")
    try:
        done = subprocess.run(
            (ruff, "check", *rules, "--no-cache", "."),
            cwd=unpacked,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("ruff is not installed")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unpacked_archive_loads_and_draws_an_edit(unpacked: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(unpacked)],
        cwd=unpacked.parent,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert loaded["ids"] == sorted(json.loads((ROOT / "node_list.json").read_text()))
    assert loaded["web"] and not loaded["comfy"]
    assert Path(loaded["file"]).is_relative_to(unpacked)
    assert loaded["unedited"] < 1e-6
    assert loaded["edited"] > 0.02
