"""A wheel, built and installed elsewhere, holds the trainer and all data files, and trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.trainer_door import preset_names

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("comfyui_cldis", "trainer", "pyproject.toml", "setup.py", "README.md", "LICENSE")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
TINY = ("--preset", "tiny32", "--set", "batch_size=4", "--device", "cpu", "--no-tensorboard")

# In what a person would write, from an installed wheel.
TRAIN_IN_PYTHON = """
import sys
from dataclasses import replace
from pathlib import Path

import comfyui_cldis as cldis
from comfyui_cldis.trainer.config import load_preset
from comfyui_cldis.trainer.run import RunSettings, train

config = replace(load_preset("tiny32"), steps=2, batch_size=4)
outcome = train(RunSettings(sys.argv[1], Path("run"), config, use_tensorboard=False), print)
print(outcome.finished, cldis.load_model(outcome.model).image_size, cldis.__file__)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with this project's wheel in it, and no other package."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()  # a copy, since building leaves its files in the tree
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source)
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", work, source)
    call([*PIP, *build], work)
    (wheel,) = work.glob("*.whl")
    call([*PIP, "install", "--no-deps", "--no-compile", "--target", work / "site", wheel], work)
    return work / "site"


@pytest.fixture
def python(site: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs Python from a folder outside the checkout, with the installed wheel first."""

    def run(*arguments: object) -> str:
        return call([sys.executable, *arguments], tmp_path, PYTHONPATH=str(site))

    return run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    colours = np.random.default_rng(0).integers(0, 255, (8, 2, 2, 3), dtype=np.uint8)
    for index, corners in enumerate(colours):
        Image.fromarray(corners).resize((32, 32)).save(folder / f"{index}.png")
    return folder


def call(command: list[object], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_and_only_our_name(site: Path) -> None:
    package = site / "comfyui_cldis"
    trainer = {f"trainer/{name}" for name in files_of(ROOT / "trainer")}
    assert files_of(package) == files_of(ROOT / "comfyui_cldis") | trainer
    names = {path.name for path in site.iterdir() if path.suffix != ".dist-info"}
    assert names - {"bin", "Scripts"} == {"comfyui_cldis"}


def test_the_installed_trainer_is_found(site: Path, python: Callable[..., str]) -> None:
    code = (
        "import json; from comfyui_cldis import trainer_door as door; "
        "print(json.dumps([door.load_trainer('config').__file__, door.preset_names()]))"
    )
    file, presets = json.loads(python("-c", code))
    assert Path(file).is_relative_to(site / "comfyui_cldis" / "trainer")
    assert presets == preset_names() and "tiny32" in presets


def test_the_command_trains_from_a_wheel(
    python: Callable[..., str], images: Path, tmp_path: Path
) -> None:
    python("-m", "comfyui_cldis", "train", "--data", images, "--output", "r", "--steps", 2, *TINY)
    info = json.loads(python("-m", "comfyui_cldis", "info", "r/model.safetensors", "--json"))
    assert info["facts"]["training"]["steps"] == 2
    assert (tmp_path / "r" / "report.html").is_file()


@pytest.mark.slow
def test_python_trains_from_a_wheel(site: Path, python: Callable[..., str], images: Path) -> None:
    last = python("-c", TRAIN_IN_PYTHON, images).splitlines()[-1]
    assert last == f"True 32 {site / 'comfyui_cldis' / '__init__.py'}"


def test_other_commands_of_the_installed_trainer(python: Callable[..., str]) -> None:
    assert "export" in python("-m", "comfyui_cldis", "export", "--help")
    assert "--data" in python("-m", "comfyui_cldis.trainer", "train", "--help")


def test_a_missing_package_is_named_with_what_installs_it(python: Callable[..., str]) -> None:
    code = (
        "from comfyui_cldis.trainer.__main__ import missing_package; "
        "print(missing_package(ModuleNotFoundError('no h5py', name='h5py')))"
    )
    assert python("-c", code).endswith('python -m pip install "cldis[metrics]"\n')
