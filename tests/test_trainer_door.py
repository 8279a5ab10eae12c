"""The trainer is found in the library or beside it, whatever name the library was loaded under."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from comfyui_cldis import trainer_door
from comfyui_cldis.trainer_door import load_trainer, preset_names

ROOT = Path(__file__).resolve().parent.parent

# Loads the door as ComfyUI would, under another name, with another `trainer` on the search path.
PROBE = """
import importlib, importlib.util, sys
checkout, elsewhere = sys.argv[1:]
sys.path.insert(0, elsewhere)
name = "odd_x_pack"
for part in ("", ".trainer_door"):
    file = checkout + "/comfyui_cldis" + (part.replace(".", "/") or "/__init__") + ".py"
    spec = importlib.util.spec_from_file_location(
        name + part,
        file,
        submodule_search_locations=None if part else [checkout + "/comfyui_cldis"],
    )
    module = sys.modules[name + part] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
path = list(sys.path)
run = module.load_trainer("run")
assert module.load_trainer("run") is run
assert sys.path == path
assert "comfyui_cldis" in sys.modules and sys.modules["comfyui_cldis"] is not sys.modules[name]
print(run.ORIGIN, run.__file__)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in small: the real door, and a trainer that imports the library by its name."""
    folder = tmp_path / "odd name-1.2"
    for name in ("comfyui_cldis", "trainer"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    shutil.copy(trainer_door.__file__, folder / "comfyui_cldis")
    (folder / "comfyui_cldis" / "facts.py").write_text("ORIGIN = 'checkout'\n")
    (folder / "trainer" / "__main__.py").write_text("")
    (folder / "trainer" / "run.py").write_text("from comfyui_cldis.facts import ORIGIN\n")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Installed packages of the same names."""
    for name in ("comfyui_cldis", "trainer"):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").write_text("")
    return tmp_path / "site"


def probe(checkout: Path, elsewhere: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", before + PROBE, checkout, elsewhere],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_checkout_wins_over_installed_packages(checkout: Path, elsewhere: Path) -> None:
    done = probe(checkout, elsewhere)
    assert done.stdout.strip() == f"checkout {checkout / 'trainer' / 'run.py'}", done.stderr


def test_an_installed_package_uses_its_own_trainer(checkout: Path, elsewhere: Path) -> None:
    """What lies beside an installed package under the name `trainer` is somebody else's."""
    (checkout / "trainer").rename(checkout / "comfyui_cldis" / "trainer")
    (checkout / "trainer").mkdir()
    for name in ("__init__", "__main__"):
        (checkout / "trainer" / f"{name}.py").write_text("")
    (checkout / "trainer" / "run.py").write_text("ORIGIN = 'somebody else'\n")
    done = probe(checkout, elsewhere)
    run = checkout / "comfyui_cldis" / "trainer" / "run.py"
    assert done.stdout.strip() == f"checkout {run}", done.stderr


@pytest.mark.parametrize("name", ["trainer", "comfyui_cldis"])
def test_another_package_in_use_is_named(checkout: Path, elsewhere: Path, name: str) -> None:
    before = f"import sys\nsys.path.insert(0, sys.argv[2])\nimport {name}\n"
    done = probe(checkout, elsewhere, before)
    sentence = f"Another package called '{name}' is in use ({elsewhere / name / '__init__.py'})"
    assert sentence in done.stderr.splitlines()[-1]


def test_a_package_that_fails_to_import_is_not_left_behind(checkout: Path, elsewhere: Path) -> None:
    (checkout / "trainer" / "__init__.py").write_text("import no_such_package_at_all\n")
    before = "import atexit, sys\natexit.register(lambda: print('trainer' in sys.modules))\n"
    done = probe(checkout, elsewhere, before)
    assert "No module named 'no_such_package_at_all'" in done.stderr
    assert done.stdout.strip() == "False"


def test_this_checkout_has_a_trainer() -> None:
    config = load_trainer("config.settings")
    assert Path(config.__file__ or "") == ROOT / "trainer" / "config" / "settings.py"
    assert preset_names() == config.preset_names()
    assert "tiny32" in preset_names()


def test_an_installation_without_the_trainer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trainer_door, "CHECKOUT", tmp_path)
    assert preset_names() == []
    with pytest.raises(
        FileNotFoundError, match="without the trainer. Install the complete package"
    ):
        load_trainer("run")


def test_a_namespace_package_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trainer", ModuleType("trainer"))
    with pytest.raises(RuntimeError, match=r"'trainer' is in use \(without a file\)"):
        load_trainer("config.settings")
