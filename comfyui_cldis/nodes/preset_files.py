"""Presets: edits under a name, in `models/cldis/presets/MODEL/NAME.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..atomic_write import write_bytes
from ..checkpoint.slider_names import checked
from .checks import parse_edits
from .device_names import is_device
from .model_files import BUNDLED, EXTENSION, file_state, find_model, model_folders

FOLDER, ENDING = "presets", ".json"
FORMAT, VERSION = "cldis_preset", 1
FORBIDDEN = '<>:"/\\|?*'
MAX_BYTES = 1 << 20


def preset_names() -> list[str]:
    """`MODEL/NAME` of all presets there are, sorted; reads no file."""
    names = {
        path.relative_to(root).with_suffix("").as_posix()
        for root in _roots()
        for path in root.glob(f"**/*{ENDING}")
        if os.path.isfile(path)  # unlike the method, False where it may not be asked
    }
    return sorted(names, key=str.casefold)


def presets_of(model_name: str) -> dict[str, Any]:
    """The presets of one model: name -> edits. Those that cannot be read are passed over.

    Raises: FileNotFoundError for a model that is not listed.
    """
    find_model(model_name)
    prefix = _stem(model_name) + "/"
    found = {}
    for name in preset_names():
        if name.startswith(prefix) and "/" not in name.removeprefix(prefix):
            try:
                found[name.removeprefix(prefix)] = json.loads(_edits_of(name))
            except (FileNotFoundError, ValueError):
                continue
    return found


def read_preset(name: str) -> str:
    """The edits of a preset that `preset_names` lists, as CLDis Edit Sliders takes them.

    Raises: FileNotFoundError when there is none of that name, ValueError when it is damaged or
        cannot be read.
    """
    names = preset_names()
    if name not in names:  # so that no name leads out of the folders
        raise FileNotFoundError(
            f"Preset '{name}' is not in models/cldis/{FOLDER}; there are: "
            f"{', '.join(names) or 'none'}. Choose one of them, or save it in CLDis Edit Sliders."
        )
    return _edits_of(name)


def save_preset(model_name: str, name: str, edits: str) -> dict[str, Any]:
    """Writes edits under a name, in place of a preset that has it.

    Returns: as `presets_of`.
    Raises: ValueError for a name or edits that cannot be, FileNotFoundError for a model that is not
        listed, RuntimeError without a models folder, OSError when it cannot be written.
    """
    find_model(model_name)
    name = checked(name)
    if name.startswith(".") or name.endswith(".") or any(each in FORBIDDEN for each in name):
        raise ValueError(
            f"A preset cannot be called '{name}'. Leave out dots at the ends and {FORBIDDEN}"
        )
    if is_device(name):
        raise ValueError(
            f"A preset cannot be called '{name}', which Windows takes for a device. Choose another "
            "name."
        )
    parse_edits(edits)
    roots = _roots(only_existing=False)
    if not roots:
        raise RuntimeError("There is no models folder to keep presets in. Start ComfyUI.")
    path = roots[0] / f"{_stem(model_name)}/{name}{ENDING}"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "version": VERSION, "edits": json.loads(edits.strip() or "{}")}
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    return presets_of(model_name)


def fingerprint(name: str | None) -> str:
    """A text that changes when the preset does; 'missing' without one. None stands for any of the
    presets: a linked name."""
    if name is None:
        return "; ".join(f"{each} {fingerprint(each)}" for each in preset_names())
    states = (file_state(root / f"{name}{ENDING}") for root in _roots())
    return next(filter(None, states), "missing")


def _edits_of(name: str) -> str:
    """The edits of a preset that was listed.

    Raises: FileNotFoundError when it has gone since, ValueError when it is damaged or cannot be
        read.
    """
    paths = (root / f"{name}{ENDING}" for root in _roots())
    path = next(filter(os.path.isfile, paths), None)
    if path is None:
        raise FileNotFoundError(f"Preset '{name}' has been deleted. Choose another one.")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"Preset '{name}' cannot be read ({error.strerror}). Allow ComfyUI to read {path.name}."
        ) from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"Preset '{name}' is larger than 1 MiB. Save it anew.")
    try:
        content = json.loads(data.decode("utf-8"))
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError("format")
        edits = json.dumps(content["edits"], ensure_ascii=False)
        parse_edits(edits)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f"Preset '{name}' holds no edits that this release reads. Save it anew, or delete "
            f"{path.name}."
        ) from error
    return edits


def _stem(model_name: str) -> str:
    """Presets of a model lie in a folder called like it, without its ending."""
    if model_name == BUNDLED:
        return "cldis_demo"
    return model_name.replace("\\", "/").removesuffix(EXTENSION)


def _roots(only_existing: bool = True) -> list[Path]:
    roots = [Path(folder) / FOLDER for folder in model_folders()]
    return [root for root in roots if root.is_dir()] if only_existing else roots
