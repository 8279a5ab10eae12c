"""Sheets that show what a model does to images, for `cldis demo` and `cldis traverse`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..diffusion.noise import gaussian_noise
from ..directions.naming import describe_ends
from ..editing.direction import Direction
from ..editing.editable import EditableModel
from ..editing.latent import Latent, slerp
from ..editing.pipeline import decode, encode, traverse
from ..imaging.sheet import Row, contact_sheet

TILE = 128  # about how many pixels wide an image is drawn
Progress = Callable[[str], AbstractContextManager[Callable[[Any], None]]]


def demo_sheet(
    model: EditableModel, images: Sequence[Tensor], progress: Progress, *, num_steps: int
) -> Image.Image:
    """Draws one row per direction, strongest first: original, reconstruction, - and + edits.

    Each row shows another image; there are as many rows as images, or directions if fewer.

    Args:
        images: (1, C, S, S) in [-1, 1] each, at the model's size.
        progress: opens a progress bar of the given name and yields its `on_step`.
    """
    directions = model.directions[: len(images)]
    originals = torch.cat(list(images[: max(1, len(directions))]))  # (R, C, S, S)
    with progress("encode") as on_step:
        latent = encode(model, originals, inversion_steps=num_steps, on_step=on_step)
    all_amounts = [amounts_over_range(direction, 2) for direction in directions]
    parts = [
        traverse(model, latent[row : row + 1], directions[row].name, amounts)
        for row, amounts in enumerate(all_amounts)
    ] or [latent]
    with progress("decode") as on_step:  # one batch: R rows of the amount 0 and four others
        drawn = decode(model, Latent.cat(parts), num_steps=num_steps, on_step=on_step)
    scale = max(1, TILE // originals.shape[-1])
    if not directions:
        row = Row(model.facts.name, torch.cat([originals, drawn]))
        return contact_sheet([row], ["original", "reconstruction"], scale=scale)
    rows = []
    for index, tiles in enumerate(drawn.split([len(part.z) for part in parts])):
        order = [2, 0, 1, 3, 4]  # the amount 0, which is the reconstruction, comes first
        captions = ["", "", *(_caption(all_amounts[index][at]) for at in order[1:])]
        tiles = torch.cat([originals[index : index + 1], tiles[order]])
        rows.append(Row(direction_label(directions[index]), tiles, tuple(captions)))
    return contact_sheet(rows, ["original", "reconstruction", "- -", "-", "+", "+ +"], scale=scale)


def traverse_sheet(
    model: EditableModel,
    image: Tensor,
    name: str,
    progress: Progress,
    *,
    num_steps: int,
    seed: int = 0,
    freedom: float = 0.0,
) -> Image.Image:
    """Draws (1, C, S, S) in [-1, 1], then its edits over the range of the direction `name`.

    Args:
        seed, freedom: how far (0 to 1) the inverted x_T moves towards that of the seed; all
            edits share the result.

    Raises: ValueError for an unknown direction.
    """
    direction = model.direction(name)
    with progress("encode") as on_step:
        latent = encode(model, image, inversion_steps=num_steps, on_step=on_step)
    if freedom > 0 and latent.x_T is not None:
        fresh = gaussian_noise(latent.x_T.shape, seed, latent.x_T.device)
        latent = replace(latent, x_T=slerp(latent.x_T.float(), fresh, freedom))
    amounts = amounts_over_range(direction, 3)
    with progress("decode") as on_step:
        variants = traverse(model, latent, name, amounts)
        drawn = decode(model, variants, num_steps=num_steps, on_step=on_step)
    row = Row(direction_label(direction), torch.cat([image, drawn]))
    columns = ["original", *(_caption(amount) for amount in amounts)]
    return contact_sheet([row], columns, scale=max(1, TILE // image.shape[-1]))


def amounts_over_range(direction: Direction, num_steps: int) -> list[float]:
    """2 * num_steps + 1 amounts from the minimum to the maximum, 0 in the middle."""
    up = [direction.maximum * step / num_steps for step in range(1, num_steps + 1)]
    down = [direction.minimum * step / num_steps for step in range(num_steps, 0, -1)]
    return [*down, 0.0, *up]


def direction_label(direction: Direction) -> str:
    """Name, and below it what the ends look like."""
    ends = describe_ends(direction.negative_label, direction.positive_label)
    return f"{direction.name}\n{ends}" if ends else direction.name


def _caption(amount: float) -> str:
    return f"{amount:+.1f} sd" if amount else "0"
