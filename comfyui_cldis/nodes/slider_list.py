"""The sliders of a model as the browser shows them, and their names as a person changes them."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from PIL import Image

from ..checkpoint import read_header
from ..checkpoint.slider_names import renamed, store_names
from ..checkpoint.summary import direction_notes
from ..directions.naming import describe_ends
from ..editing.direction import Direction, find_slider
from .model_files import find_model


def sliders_of(model_name: str) -> dict[str, Any]:
    """The sliders of a model that CLDis Load Model lists, strongest effect first.

    `id` is what the model file calls a slider: edits are written with it and in its sense, so that
    a workflow means the same to everybody. All else is as the slider is shown; where `flipped`, an
    amount shown is the negative of the amount written.

    Raises: FileNotFoundError for a name that is not listed, CheckpointError for a bad file.
    """
    directions = read_header(find_model(model_name)).directions
    notes = direction_notes(directions)
    return {
        "model": model_name,
        "sliders": [_entry(each, notes[each.name]) for each in directions],
    }


def name_slider(
    model_name: str, slider: str, name: str, labels: tuple[str, str], is_flipped: bool
) -> dict[str, Any]:
    """Gives a slider another name in the file beside the model; an empty name gives back its own.

    Returns: as `sliders_of`.
    Raises: ValueError for a name that cannot be, OSError when the file cannot be written, and as
        `sliders_of`.
    """
    path = find_model(model_name)
    directions = read_header(path).directions
    if not name.strip():
        own = find_slider(directions, slider, "the model").as_in_file()
        name, labels, is_flipped = own.name, (own.negative_label, own.positive_label), False
    store_names(path, renamed(directions, slider, name, labels, is_flipped=is_flipped))
    return sliders_of(model_name)


def _entry(direction: Direction, note: str) -> dict[str, Any]:
    has_ends = describe_ends(direction.negative_label, direction.positive_label)
    return {
        "id": direction.file_name or direction.name,
        "name": direction.name,
        "low": direction.negative_label if has_ends else "",
        "high": direction.positive_label if has_ends else "",
        "min": direction.minimum,
        "max": direction.maximum,
        "flipped": direction.is_flipped,
        "note": note,
        "strip": _strip(direction),
    }


def _strip(direction: Direction) -> str | None:
    """The images at the low end, at 0 and at the high end side by side, as a data URI."""
    if direction.thumbnails is None:
        return None
    row = torch.cat(list(direction.thumbnails), dim=1)  # 3 x (S, S, 3) -> (S, 3 S, 3)
    buffer = io.BytesIO()
    Image.fromarray(row.numpy()).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
