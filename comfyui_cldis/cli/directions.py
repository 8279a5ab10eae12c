"""`cldis directions`, `rename` and `prune`: a model file's sliders, listed, drawn and put in order.

The functions return the text that the command prints; model files are replaced as a whole or not
at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..checkpoint import Header, load_checkpoint
from ..checkpoint.rewrite import check_new_file, write_model
from ..checkpoint.slider_names import check_not_parked
from ..checkpoint.summary import direction_notes, range_with_ends
from ..diffusion.samplers import MEASURING_SAMPLER
from ..directions.naming import describe_ends
from ..directions.quality import (
    Measured,
    drawn_latent,
    evaluation_amounts,
    with_measurements,
)
from ..editing.direction import Direction
from ..editing.editable import EditableModel
from ..editing.latent import Latent
from ..editing.pipeline import decode, encode, traverse
from ..editing.verdict import no_sliders_text, why_none
from ..imaging.sheet import Row, contact_sheet, largest_size
from ..imaging.tensors import from_pixels
from .sheets import TILE, amount_text, amounts_over_range

Progress = Callable[[str], AbstractContextManager[Callable[[Any], None]]]
NUM_DRAWN = 4  # images that directions are measured on when none are given
NUM_SHOWN = 2  # of them on a sheet
STEPS_SHOWN = 5  # of each, from end to end of the range
COLUMNS = {"monotone": "monotone", "consistency": "alike", "balance": "balance"}
LEGEND = """\
effect: mean change of the image between -1 and +1 sd, in [0, 2].
monotone: share of the images that change one way all along.
alike: how alike the changes of unlike images are, in [-1, 1].
balance: change at the weaker end of the range over that at the stronger, each end at most 2."""


class Done(NamedTuple):
    """Progress: so many of all directions, as the samplers' `Step`."""

    index: int
    total: int


def directions_table(header: Header, measured: Mapping[str, Measured] | None = None) -> str:
    """A line for each direction: name, range with ends, effect, quality and what speaks against it.

    Where none of them is a slider, it says why.

    Args:
        measured: by name; adds what each direction seems to change.
    """
    if not header.directions:
        return no_sliders_text(header)
    notes = direction_notes(header.directions)
    qualities = {each.name: each.quality.to_dict() for each in header.directions}
    shown = [key for key in COLUMNS if any(key in quality for quality in qualities.values())]
    head = ["name", "range (sd)", "effect", *(COLUMNS[key] for key in shown), "note"]
    rows = [head + (["seems to change"] if measured else [])]
    for each in header.directions:
        quality = qualities[each.name]
        figures = [f"{quality[key]:.2f}" if key in quality else "" for key in shown]
        row = [each.name, range_with_ends(each), f"{each.effect:.3f}", *figures, notes[each.name]]
        if measured:
            words = measured[each.name].words
            ends = describe_ends(words.negative, words.positive)
            row.append(f"{words.name}{': ' if ends else ''}{ends}")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    below = (LEGEND if shown else "", no_sliders_text(header))
    return "\n\n".join(["\n".join(lines), *filter(None, below)])


def directions_sheet(
    model: EditableModel, latent: Latent, progress: Progress, *, num_steps: int
) -> Image.Image:
    """One row for each direction: each of B images from end to end of the range, in 5 steps.

    Raises: ValueError for a model without directions, or with channels that are no colours.
    """
    _check_drawable(model)
    rows, notes = [], direction_notes(model.directions)
    with progress("decode") as on_step:
        for index, direction in enumerate(model.directions):
            amounts = amounts_over_range(direction, STEPS_SHOWN // 2)
            walk = traverse(model, latent, direction.name, amounts)
            images = decode(model, walk, sampler=MEASURING_SAMPLER, num_steps=num_steps)
            on_step(Done(index, len(model.directions)))
            captions = tuple(amount_text(amount) for amount in amounts)
            rows.append(Row(_label(direction, notes), images, captions * len(latent)))
    scale = max(1, TILE // model.networks.config.image_size)
    return contact_sheet(rows, scale=scale, group_size=STEPS_SHOWN)


def directions_sheet_size(header: Header, num_images: int) -> tuple[int, int]:
    """Width and height that `directions_sheet` will need at most for a latent of `num_images`."""
    size = header.config.image_size
    side = size * max(1, TILE // size)
    num_columns = STEPS_SHOWN * num_images
    return largest_size(
        len(header.directions), num_columns, side, captions=True, group_size=STEPS_SHOWN
    )


def thumbnail_sheet(header: Header) -> Image.Image | None:
    """One row for each direction, from the thumbnails in the file; None unless all have some."""
    notes = direction_notes(header.directions)
    rows = []
    for direction in header.directions:
        if direction.thumbnails is None:
            return None
        images = from_pixels(direction.thumbnails)
        captions = tuple(amount_text(amount) for amount in evaluation_amounts(direction)[::2])
        rows.append(Row(_label(direction, notes), images, captions))
    if not rows:
        return None
    return contact_sheet(rows, scale=max(1, TILE // rows[0].images.shape[-1]))


def base_latent(model: EditableModel, images: Sequence[Tensor], num_steps: int) -> Latent:
    """The images to move: those given, (1, C, S, S) each, or some drawn from the statistics."""
    if not images:
        return drawn_latent(model, NUM_DRAWN)
    return encode(
        model, torch.cat(list(images)), inversion=MEASURING_SAMPLER, inversion_steps=num_steps
    )


def measure(
    model: EditableModel, latent: Latent, progress: Progress, *, num_steps: int
) -> tuple[EditableModel, dict[str, Measured]]:
    """The model with quality and thumbnails measured anew, and all that was measured, by name."""
    found: dict[str, Measured] = {}

    def note(direction: Direction, measured: Measured) -> None:
        found[direction.name] = measured
        on_step(Done(len(found) - 1, len(model.directions)))

    _check_drawable(model)
    with progress("measure") as on_step:
        return with_measurements(model, latent, num_steps=num_steps, on_direction=note), found


def rename(
    path: Path,
    old: str,
    new: str,
    labels: tuple[str, str] | None,
    output: Path | None,
    *,
    reverse: bool = False,
) -> str:
    """Gives a direction another name, other ends if there are `labels`, or turns it round.

    Raises: ValueError for an unknown or a taken name, or one that no command line can hold.
    """
    new = check_name(new)
    model = load_checkpoint(path)
    changed = model.renamed(old, new, labels, reverse=reverse)
    done = [f"'{old}' is now '{new}'" if new != old else f"'{old}' keeps its name"]
    if reverse:
        done.append("turned round")
    if labels is not None:
        done.append("its ends are '{}' and '{}'".format(*labels))
    return _write(path, changed, output, ", ".join(done))


def prune(path: Path, names: Sequence[str], below: float | None, output: Path | None) -> str:
    """Drops directions, by name or by an effect below `below`.

    Raises: ValueError for an unknown name, both or neither way of choosing, or when no direction
        would be left or none would go.
    """
    if bool(names) == (below is not None):
        raise ValueError("Nothing says what to drop. Give either NAMES or --below EFFECT.")
    model = load_checkpoint(path)
    if below is not None:
        names = [each.name for each in model.directions if each.effect < below]
        if not names:
            weakest = min((each.effect for each in model.directions), default=0.0)
            raise ValueError(
                f"No direction has an effect below {below:g}. The weakest has {weakest:.3f}."
            )
    pruned = model.without(names)
    left = {each.name for each in pruned.directions}
    dropped = ", ".join(each.name for each in model.directions if each.name not in left)
    return _write(path, pruned, output, f"dropped {dropped}; {len(pruned.directions)} are left")


def check_name(name: str) -> str:
    """`name` without blanks around it. Raises: ValueError when it cannot be a name."""
    stripped = name.strip()
    if not stripped or not stripped.isprintable():
        raise ValueError(f"The name {name!r} cannot be used. Give one line of visible text.")
    check_not_parked(stripped)
    return stripped


def _check_drawable(model: EditableModel) -> None:
    if not model.directions:
        raise ValueError(f"{model.name} has no directions to draw, as {why_none(model)}")
    channels = model.networks.config.in_channels
    if channels not in (1, 3):
        raise ValueError(
            f"{model.name} works on image latents with {channels} channels, not on images. "
            "Choose a model with 1 or 3 channels."
        )


def _write(path: Path, model: EditableModel, output: Path | None, done: str) -> str:
    check_new_file(path, output)
    write_model(path, model, output or path)
    return f"{output or path}: {done}"


def _label(direction: Direction, notes: Mapping[str, str]) -> str:
    ends = describe_ends(direction.negative_label, direction.positive_label)
    figures = f"effect {direction.effect:.3f}"
    return "\n".join(filter(None, (direction.name, ends, figures, notes[direction.name])))
