"""Which model files there are: ComfyUI's folder models/cldis, other paths the user registered
under the key `cldis` in extra_model_paths.yaml, and the model bundled with the pack."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..checkpoint.demo import demo_model_path
from ..checkpoint.slider_names import names_path

FOLDER = "cldis"
EXTENSION = ".safetensors"
BUNDLED = "cldis_demo (bundled)"


def model_names() -> list[str]:
    """The bundled model first, then the files by name; never raises, reads no file."""
    return [BUNDLED, *_file_names()]


def find_model(name: str) -> Path:
    """The path of a model that `model_names` lists.

    Raises: FileNotFoundError naming the file, the folders searched and the models there are.
    """
    if name == BUNDLED:
        return demo_model_path()
    folder_paths = _folder_paths()
    # Only names from the list are looked up, so no name can lead out of the folders.
    if folder_paths is not None and name in _file_names():
        found = folder_paths.get_full_path(FOLDER, name)
        if found is not None:
            return Path(found)
    raise FileNotFoundError(
        f"Model '{name}' is not in {_folders_text()}; there are: {', '.join(model_names())}. "
        "Put the file there and press R, or choose another model."
    )


def fingerprint(name: str | None) -> str:
    """A text that changes when the file, or the names of its sliders beside it, do: modification
    times and sizes; 'missing' without one. None stands for any of the files: a linked name."""
    if name is None:
        return "; ".join(f"{each} {fingerprint(each)}" for each in model_names())
    try:
        path = find_model(name)
    except FileNotFoundError:
        return "missing"
    return f"{file_state(path) or 'missing'} {file_state(names_path(path))}".strip()


def file_state(path: Path) -> str:
    """A file's modification time and size; "" where there is none."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{facts.st_mtime_ns}-{facts.st_size}"


def _folder_paths():
    """ComfyUI's `folder_paths` with our folder registered, or None without ComfyUI."""
    folder_paths = sys.modules.get("folder_paths")
    if folder_paths is None:
        return None
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    paths, extensions = folder_paths.folder_names_and_paths[FOLDER]
    # A new folder starts with an empty set, which would list every file in it.
    if EXTENSION not in extensions:
        folder_paths.folder_names_and_paths[FOLDER] = (paths, {*extensions, EXTENSION})
        getattr(folder_paths, "filename_list_cache", {}).pop(FOLDER, None)
    return folder_paths


def _file_names() -> list[str]:
    folder_paths = _folder_paths()
    if folder_paths is None:
        return []
    names = folder_paths.get_filename_list(FOLDER)
    return [name for name in names if name.lower().endswith(EXTENSION)]


def model_folders() -> list[str]:
    """ComfyUI's folders of models, the first being models/cldis; none without ComfyUI."""
    folder_paths = _folder_paths()
    if folder_paths is None:
        return []
    own = os.path.join(folder_paths.models_dir, FOLDER)
    return [own, *(each for each in folder_paths.get_folder_paths(FOLDER) if each != own)]


def _folders_text() -> str:
    return " or ".join(model_folders()) or f"models/{FOLDER}"
