"""The resumable state of a run: written to a temporary file, then renamed.

A state holds tensors, numbers and strings only, so torch reads it with weights_only=True.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from .config import TrainConfig

STATE_NAME = "state.pt"
CONFIG_NAME = "config.json"


def save_state(folder: Path, content: dict[str, Any]) -> None:
    """Write the state of a run atomically.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the last state stays.
    """
    target = folder / STATE_NAME
    temporary = target.with_suffix(".tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The state in `folder`, or None when there is none.

    Raises:
        ValueError: the file cannot be read as a state.
    """
    path = folder / STATE_NAME
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a training state ({type(error).__name__}). "
            "Delete it to start over, or choose another --output."
        ) from error


def check_config(folder: Path, config: TrainConfig, source: str) -> None:
    """Write the resolved configuration, or compare it with the one the run was started with.

    Only `steps` may change between two commands on the same folder.

    Raises:
        ValueError: the folder holds a run with another configuration or data source.
    """
    path = folder / CONFIG_NAME
    now = {"data": source, **config.to_dict()}
    if path.is_file() and (folder / STATE_NAME).is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path} is damaged ({error}). Choose another --output, or delete {path.name} and "
                "give the settings the run was started with."
            ) from error
        new = json.loads(json.dumps(now))  # tuples become lists, as they are in the file
        changed = sorted(
            key for key in {*before, *new} - {"steps"} if before.get(key) != new.get(key)
        )
        if changed:
            raise ValueError(
                f"{folder} holds a run with other settings (different: {', '.join(changed)}). "
                "Give the settings it was started with, or choose another --output."
            )
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
