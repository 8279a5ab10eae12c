"""Writes a changed model over the file it came from, or beside it."""

from __future__ import annotations

from pathlib import Path

import torch

from ..editing.editable import EditableModel
from .file import read_header, save_checkpoint


def write_model(path: Path, model: EditableModel, output: Path) -> None:
    """Writes `model`, which came from `path`, with weights stored as they were there."""
    stored = getattr(torch, read_header(path).stored_dtype, torch.float32)
    save_checkpoint(output, model, dtype=stored)


def check_new_file(path: Path, output: Path | None) -> None:
    """Refuses to replace a model file other than the one that was read.

    Raises: ValueError.
    """
    if output is not None and output.exists() and output.resolve() != path.resolve():
        raise ValueError(f"The output {output} is there already. Choose another name.")
