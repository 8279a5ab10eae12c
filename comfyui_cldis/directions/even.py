"""Even sliders: equal steps make equal visible changes, and the range ends where nothing moves.

The way of the image is measured in CIELAB between neighbouring previews of base images while the
code moves along the direction; amounts are set in proportion to it. The mean step of a slider stays
one standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..editing.amount_scale import AmountScale
from ..editing.direction import Direction
from ..editing.editable import EditableModel
from ..editing.latent import Latent
from ..editing.pipeline import preview
from ..imaging.lab import lab_change, to_lab

STEPS = 4  # to each side, about as large as those that a person compares
SATURATED = 0.1  # of the mean speed: a slower piece at an end of the range is cut off
SHORTEST = 0.5  # standard deviations that are kept at each side
SHORTEST_SIDE = 0.01  # amount of a side of a slider, however little is seen there
GOOD_PREVIEW = 0.2  # explained variance; below it the co-pilot does not draw this code


def draws_previews(model: EditableModel) -> bool:
    """Whether the model's previews show its code, by its own figures."""
    if not model.networks.has_copilot:
        return False
    explained = model.facts.quality.explained_variance_preview
    return explained is not None and explained >= GOOD_PREVIEW


def even_directions(model: EditableModel, latent: Latent) -> EditableModel:
    """The model with each direction on an even scale, its range in the new amounts.

    Images that are no colours cannot be compared, so such a model stays as it is.

    Args:
        latent: base images, at least one; their noise plays no part.
    """
    if model.networks.config.in_channels not in (1, 3):
        return model
    return replace(
        model, directions=tuple(even_direction(model, latent, each) for each in model.directions)
    )


def even_direction(model: EditableModel, latent: Latent, direction: Direction) -> Direction:
    """One direction on an even scale; one that changes no preview stays as it is."""
    plain = straight_direction(direction)
    below = np.linspace(plain.minimum, 0, STEPS + 1)
    distances = np.concatenate([below, np.linspace(0, plain.maximum, STEPS + 1)[1:]])
    scale = even_scale(distances, visible_steps(model, latent, plain, distances.tolist()))
    if scale is None:
        return direction
    return replace(
        plain,
        scale=scale,
        minimum=min(round(scale.amounts[0], 2), -SHORTEST_SIDE),
        maximum=max(round(scale.amounts[-1], 2), SHORTEST_SIDE),
    )


def straight_direction(direction: Direction) -> Direction:
    """The direction without its scale: amounts are standard deviations, between the same ends."""
    if direction.scale is None:
        return direction
    low, *_, high = direction.scale.distances
    return replace(direction, scale=None, minimum=low, maximum=high)


def visible_steps(
    model: EditableModel, latent: Latent, direction: Direction, amounts: Sequence[float]
) -> np.ndarray:
    """(P - 1,) mean CIELAB change between the previews at neighbouring amounts (P,)."""
    shifts = torch.tensor([direction.displacement(at) for at in amounts], dtype=torch.float64)
    steps = shifts * model.statistics.std.double().cpu()
    rows = []
    for z in latent.z.double().cpu():
        lab = to_lab(preview(model, Latent((z + steps).float())))
        rows.append(lab_change(lab[:-1], lab[1:]).double().numpy())
    return np.mean(rows, axis=0)


def even_scale(distances: np.ndarray, changes: np.ndarray) -> AmountScale | None:
    """The scale on which equal amounts make equal changes; None where nothing changes.

    Args:
        distances: (P,) rising, 0 among them.
        changes: (P - 1,) visible change between neighbours, at least 0.
    """
    widths = np.diff(distances)
    if not changes.sum() > 0:
        return None
    mean_speed = changes.sum() / widths.sum()
    first, last = 0, len(distances) - 1
    while (
        distances[first + 1] <= -SHORTEST
        and changes[first] < SATURATED * mean_speed * widths[first]
    ):
        first += 1
    while (
        distances[last - 1] >= SHORTEST
        and changes[last - 1] < SATURATED * mean_speed * widths[last - 1]
    ):
        last -= 1
    kept, moved = distances[first : last + 1], changes[first:last]
    # a piece where nothing moves still needs some width, or a distance would have no amount
    moved = np.maximum(moved, SATURATED * mean_speed * np.diff(kept))
    way = np.concatenate([[0.0], np.cumsum(moved)])
    way -= way[np.flatnonzero(kept == 0)[0]]
    amounts = way * (kept[-1] - kept[0]) / (way[-1] - way[0])
    marks = [tuple(float(round(value, 9)) + 0.0 for value in row) for row in (amounts, kept)]
    return AmountScale(*marks)
