"""Sheets that show what a model does to images, for `cldis demo` and `cldis traverse`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..diffusion.noise import shared_seeds
from ..directions.naming import describe_ends
from ..editing.direction import Direction
from ..editing.editable import EditableModel
from ..editing.latent import Latent
from ..editing.pipeline import traverse
from ..editing.render import render
from ..imaging.animation import forth_and_back
from ..imaging.sheet import Row, contact_sheet, to_image
from ..imaging.tensors import in_model_range
from .loading import encoded

TILE = 128  # about how many pixels wide an image is drawn at least
DEMO_TILE = 256  # pixels of an image on the demo's sheet
NUM_FRAMES = 12  # of an animation from one end to the other
Progress = Callable[[str], AbstractContextManager[Callable[[Any], None]]]


def demo_sheet(
    model: EditableModel, originals: Sequence[Tensor], progress: Progress, *, num_steps: int
) -> Image.Image:
    """Draws one row per direction, strongest first: the original, two - and two + edits.

    Each row shows another image; there are as many rows as images, or directions if fewer.

    Args:
        originals: (C, H, W) uint8 each.
        progress: opens a progress bar of the given name and yields its `on_step`.
    """
    directions = model.directions[: len(originals)]
    latents = [
        encoded(model, pixels, "crop", None, DEMO_TILE)
        for pixels in originals[: max(1, len(directions))]
    ]
    if not directions:
        image = _images(render(model, latents[0]))
        return contact_sheet([Row(model.facts.name, image)], ["original"], scale=_scale(image))
    all_amounts = [amounts_over_range(direction, 2) for direction in directions]
    parts = [
        traverse(model, latent, direction.name, amounts)
        for latent, direction, amounts in zip(latents, directions, all_amounts, strict=True)
    ]
    rows = []
    with progress("draw") as on_step:  # one batch
        drawn = render(model, Latent.cat(parts), num_steps=num_steps, on_step=on_step)
    tiles = _images(drawn).split([len(part) for part in parts])
    for direction, amounts, images in zip(directions, all_amounts, tiles, strict=True):
        captions = [amount_text(amount) if amount else "original" for amount in amounts]
        rows.append(Row(direction_label(direction), images, tuple(captions)))
    return contact_sheet(rows, scale=_scale(rows[0].images))


def traverse_sheet(
    model: EditableModel, latent: Latent, name: str, progress: Progress, **options: Any
) -> Image.Image:
    """Draws the edits of an image over the range of the direction `name`, the original among them.

    Args:
        latent: one item, with its source.
        options: `method`, `num_steps` and `seed` of `render`; all edits share the noise of a seed.

    Raises: ValueError for an unknown direction.
    """
    direction = model.direction(name)
    amounts = amounts_over_range(direction, 3)
    images = _images(_variants(model, latent, name, amounts, progress, **options))
    middle = "original" if options.get("seed") is None else "drawn anew"
    captions = tuple(amount_text(amount) if amount else middle for amount in amounts)
    row = Row(direction_label(direction), images, captions)
    return contact_sheet([row], scale=_scale(images))


def traverse_frames(
    model: EditableModel, latent: Latent, name: str, progress: Progress, **options: Any
) -> list[Image.Image]:
    """The frames of a loop over the range of the direction and back; options as for the sheet."""
    direction = model.direction(name)
    low, high = direction.minimum, direction.maximum
    amounts = [low + (high - low) * step / (NUM_FRAMES - 1) for step in range(NUM_FRAMES)]
    images = _images(_variants(model, latent, name, amounts, progress, **options))
    return forth_and_back([to_image(image) for image in images])


def _variants(
    model: EditableModel,
    latent: Latent,
    name: str,
    amounts: Sequence[float],
    progress: Progress,
    *,
    method: str,
    num_steps: int,
    seed: int | None,
) -> list[Tensor]:
    """The image at each of the amounts."""
    variants = traverse(model, latent, name, amounts)
    seeds = shared_seeds(seed, len(latent), len(amounts))
    with progress("draw") as on_step:
        return render(
            model, variants, method=method, num_steps=num_steps, seed=seeds, on_step=on_step
        )


def _images(pixels: Sequence[Tensor]) -> Tensor:
    """Pixels of one size as (n, C, H, W) in [-1, 1]."""
    return in_model_range(torch.stack(list(pixels)))


def _scale(images: Tensor) -> int:
    return max(1, TILE // images.shape[-1])


def amounts_over_range(direction: Direction, num_steps: int) -> list[float]:
    """2 * num_steps + 1 amounts from the minimum to the maximum, 0 in the middle."""
    up = [direction.maximum * step / num_steps for step in range(1, num_steps + 1)]
    down = [direction.minimum * step / num_steps for step in range(num_steps, 0, -1)]
    return [*down, 0.0, *up]


def direction_label(direction: Direction) -> str:
    """Name, and below it what the ends look like."""
    ends = describe_ends(direction.negative_label, direction.positive_label)
    return f"{direction.name}\n{ends}" if ends else direction.name


def amount_text(amount: float) -> str:
    """An amount as it is typed: "+1.5", "0"."""
    return f"{amount:+.1f}" if amount else "0"
