"""The way to the trainer, which lies beside this package in a checkout, not inside it.

`trainer` is somebody else's name on PyPI, and inside ComfyUI this package goes by another name than
its own. So both are imported from this checkout by their files, whatever the search path holds.
The trainer then works with its own copy of the library: exchange files and plain values with it,
never objects of library classes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parent.parent
TRAINER = "trainer"
LIBRARY = "comfyui_cldis"  # as the trainer imports it


def preset_names() -> list[str]:
    """Names of the trainer's presets, without importing it; empty when it is not there."""
    return sorted(path.stem for path in (CHECKOUT / TRAINER / "config" / "presets").glob("*.toml"))


def load_trainer(module: str) -> ModuleType:
    """Import `trainer.<module>` from this checkout.

    Raises:
        FileNotFoundError: an installation without the trainer.
        RuntimeError: the process has already imported another package of that name.
        ModuleNotFoundError: a package that training needs is missing.
    """
    if not (CHECKOUT / TRAINER / "__main__.py").is_file():
        raise FileNotFoundError(
            "This installation came without the trainer. Clone the repository, install it with "
            '`python -m pip install -e ".[train]"`, and train from there.'
        )
    for name in (LIBRARY, TRAINER):
        _import_package(name)
    return importlib.import_module(f"{TRAINER}.{module}")


def _import_package(name: str) -> None:
    """Put the checkout's package `name` into `sys.modules`, or see that it is there."""
    source = CHECKOUT / name / "__init__.py"
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
