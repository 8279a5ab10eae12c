"""The packages the nodes need, and what a user reads about one that is missing or broken.

ComfyUI brings torch, and ComfyUI-Manager installs requirements.txt, but a pack that was cloned by
hand comes without. So packages are looked for, without importing them, when ComfyUI asks for the
nodes, and imported when a node runs, before it does anything.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..wording import command_line

PACK = Path(__file__).resolve().parents[2]
REQUIREMENTS = PACK / "requirements.txt"

# As pip calls a package -> the module of it that is imported, deep enough to find it broken.
BASE = {
    "diffusers": "diffusers.schedulers.scheduling_ddim",
    "kornia": "kornia.color",
    "numpy": "numpy",
    "pillow": "PIL.Image",
    "safetensors": "safetensors.torch",
    "tqdm": "tqdm",
}
TRACKING = {"opencv-python-headless": "cv2"}
TRAINING = {
    "accelerate": "accelerate",
    "filelock": "filelock",
    "matplotlib": "matplotlib",
    "opencv-python-headless": "cv2",
    "psutil": "psutil",
    "rich": "rich",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
}
if sys.version_info < (3, 11):
    TRAINING["tomli"] = "tomli"
HEADS = {"numba": "numba"}  # to train on the built-in data set

logger = logging.getLogger(__name__)


def missing(*groups: Mapping[str, str]) -> list[str]:
    """The packages of `groups` that are not installed; imports none of them."""
    return [
        name
        for group in groups
        for name, module in group.items()
        if not _is_installed(module.partition(".")[0])
    ]


def require(*groups: Mapping[str, str]) -> None:
    """Imports the packages of `groups`.

    Raises: RuntimeError naming those that are missing, or one that cannot be imported, with the
        command to run.
    """
    if lacking := missing(*groups):
        raise RuntimeError(describe_missing("This node", lacking))
    for group in groups:
        for name, module in group.items():
            try:
                importlib.import_module(module)
            except Exception as error:  # a broken package may raise anything
                raise RuntimeError(_describe_broken(name, error)) from error


def log_missing() -> None:
    """Logs once what is missing: a warning, or a note where single nodes need it."""
    if lacking := missing(BASE):
        logger.warning(describe_missing("CLDis", lacking))
    for title, group in (("CLDis Track Content", TRACKING), ("CLDis Train Model", TRAINING)):
        if lacking := missing(group):
            logger.info(describe_missing(title, lacking))


def describe_missing(who: str, names: Iterable[str]) -> str:
    """What `who` lacks, and the command that installs it."""
    names = list(names)
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{who} needs {', '.join(names)}, which {verb} not installed in ComfyUI's Python. "
        f"Run this in a terminal, then restart ComfyUI: {install_command(names)}"
    )


def install_command(names: Iterable[str]) -> str:
    """One command that installs packages into the Python that is running, ComfyUI's."""
    words, extra = [], list(names)
    if REQUIREMENTS.is_file() and not BASE.keys().isdisjoint(extra):
        words = ["-r", str(REQUIREMENTS)]
        extra = [name for name in extra if name not in BASE]
    return _pip("install", *words, *extra)


def _describe_broken(name: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or ["without a reason"])[0]
    return (
        f"The package {name} is installed in ComfyUI's Python, but importing it fails "
        f"({type(error).__name__}: {reason}). Update it in a terminal, then restart ComfyUI: "
        f"{_pip('install', '-U', name)}"
    )


def _is_installed(module: str) -> bool:
    if module in sys.modules:  # None: somebody keeps it from being imported
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def _pip(*words: str) -> str:
    """A pip command for the running Python, as a terminal of this system reads it."""
    python = Path(sys.executable)
    # An embedded Python, as in ComfyUI's portable build for Windows, is called with -s there: it
    # must not see packages of the user's own Python.
    options = ["-s"] if any(python.parent.glob("python*._pth")) else []
    return command_line(python, *options, "-m", "pip", *words)
