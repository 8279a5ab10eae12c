"""The way to the trainer: inside this package where a wheel was installed, else beside it.

`trainer` is somebody else's name on PyPI, so a wheel holds the folder trainer/ of the checkout as
`comfyui_cldis.trainer`. And inside ComfyUI this package goes by another name than its own. So the
library and the trainer are imported by their files, whatever the search path holds.
The trainer then works with its own copy of the library: exchange files and plain values with it,
never objects of library classes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parent.parent  # of a checkout; else the folder of packages
LIBRARY = "comfyui_cldis"  # as the trainer imports it
INSTALLED, BESIDE = f"{LIBRARY}.trainer", "trainer"  # what the trainer may be called


def trainer_name() -> str | None:
    """The name under which Python imports the trainer of this installation; None without one.

    A checkout has no folder of the installed name, and what lies beside an installed package is
    somebody else's: so the installed name comes first.
    """
    for name in (INSTALLED, BESIDE):
        if (_folder(name) / "__main__.py").is_file():
            return name
    return None


def preset_names() -> list[str]:
    """Names of the trainer's presets, without importing it; empty when it is not there."""
    name = trainer_name()
    files = [] if name is None else (_folder(name) / "config" / "presets").glob("*.toml")
    return sorted(path.stem for path in files)


def load_trainer(module: str) -> ModuleType:
    """Import the trainer's `module`, such as "run" or "training.signals".

    Raises:
        FileNotFoundError: an installation without the trainer.
        RuntimeError: the process has already imported another package of that name.
        ModuleNotFoundError: a package that training needs is missing.
    """
    trainer = trainer_name()
    if trainer is None:
        raise FileNotFoundError(
            "This installation came without the trainer. Install the complete package again."
        )
    for name in (LIBRARY, trainer):
        _import_package(name)
    return importlib.import_module(f"{trainer}.{module}")


def _folder(package: str) -> Path:
    return CHECKOUT.joinpath(*package.split("."))


def _import_package(name: str) -> None:
    """Put this installation's package `name` into `sys.modules`, or see that it is there."""
    source = _folder(name) / "__init__.py"
    known = sys.modules.get(name)
    if known is not None:
        found = getattr(known, "__file__", None)
        if found is None or Path(found).resolve() != source:
            raise RuntimeError(
                f"Another package called '{name}' is in use ({found or 'without a file'}), so the "
                f"one in {CHECKOUT} cannot be imported. Uninstall the other one, or train with "
                "`cldis train` in a Python environment of its own."
            )
        return
    spec = importlib.util.spec_from_file_location(
        name, source, submodule_search_locations=[str(source.parent)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        del sys.modules[name]
        raise
