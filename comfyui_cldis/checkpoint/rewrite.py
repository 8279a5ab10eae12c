"""Writes a changed model over the file it came from, or beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ..editing.editable import EditableModel
from .file import read_header, save_checkpoint
from .slider_names import store_names


def write_model(path: Path, model: EditableModel, output: Path) -> None:
    """Writes `model`, which came from `path`, with weights stored as they were there."""
    stored = getattr(torch, read_header(path).stored_dtype, torch.float32)
    save_with_names(output, model, stored)


def save_with_names(output: Path, model: EditableModel, dtype: torch.dtype) -> None:
    """Writes `model`, and beside it the names that its sliders have there (`slider_names`)."""
    in_file = tuple(each.as_in_file() for each in model.directions)
    save_checkpoint(output, replace(model, directions=in_file), dtype=dtype)
    store_names(output, model.directions)


def check_new_file(path: Path, output: Path | None) -> None:
    """Refuses to replace a model file other than the one that was read.

    Raises: ValueError.
    """
    if output is not None and output.exists() and output.resolve() != path.resolve():
        raise ValueError(f"The output {output} is there already. Choose another name.")
