"""The latent axes as directions: dead ones dropped, ordered by what they measurably change.

The simplest direction finder, and the control for better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .directions import Direction
from .editable import EditableModel
from .latent import Latent
from .naming import describe_change
from .pipeline import decode

VISIBLE_EFFECT = 4 / 255  # mean absolute change in [0, 2] image units: two grey levels of 255
SHORTEST_RANGE, LONGEST_RANGE = 0.5, 4.0


class AxisEffect(NamedTuple):
    """What moving along one axis does on some base pictures.

    Attributes:
        axis: index of the latent dimension.
        effect: mean absolute difference between the pictures at -1 and +1 sd, in [0, 2].
        low, high: pictures (B, C, S, S) at -1 and +1 standard deviation.
    """

    axis: int
    effect: float
    low: Tensor
    high: Tensor


def measure_axes(
    model: EditableModel, latent: Latent, *, num_steps: int = 10
) -> Iterator[AxisEffect]:
    """Move along every axis from -1 to +1 sd and compare the pictures; one at a time.

    Args:
        latent: base pictures; their inverted noise is kept, as in an edit.
        num_steps: DDIM steps per decode.
    """
    batch = len(latent)
    for axis, std in enumerate(model.statistics.std.tolist()):
        shift = torch.zeros_like(latent.z)
        shift[:, axis] = std
        pair = latent.repeat(2).with_z(
            torch.stack([latent.z - shift, latent.z + shift], dim=1).flatten(0, 1)
        )
        images = decode(model, pair, num_steps=num_steps)
        low, high = images.view(batch, 2, *images.shape[1:]).unbind(1)
        yield AxisEffect(axis, float((high - low).abs().mean()), low, high)


def find_axes(
    model: EditableModel,
    latent: Latent,
    *,
    num_steps: int = 10,
    smallest_effect: float = VISIBLE_EFFECT,
    on_axis: Callable[[int], object] | None = None,
) -> tuple[Direction, ...]:
    """The axes with a visible effect as directions, strongest first.

    Safe ranges are the 0.5 and 99.5 % quantiles of the code over the training set, in standard
    deviations from the mean, at least 0.5 and at most 4. Names are provisional.

    Args:
        model: its `directions` are ignored.
        latent: base pictures with inverted noise, at least one.
        smallest_effect: axes below are dropped as dead.
        on_axis: progress, called with the index of each axis measured.

    Returns:
        Empty when no axis has a visible effect.
    """
    found: list[AxisEffect] = []
    for measured in measure_axes(model, latent, num_steps=num_steps):
        if measured.effect >= smallest_effect:
            found.append(measured)
        if on_axis is not None:
            on_axis(measured.axis)
    found.sort(key=lambda item: -item.effect)
    statistics = model.statistics
    low = ((statistics.low - statistics.mean) / statistics.std).tolist()
    high = ((statistics.high - statistics.mean) / statistics.std).tolist()
    directions: list[Direction] = []
    taken: dict[str, int] = {}
    for item in found:
        words = describe_change(item.low, item.high)
        taken[words.name] = taken.get(words.name, 0) + 1
        count = taken[words.name]
        vector = [0.0] * len(low)
        vector[item.axis] = 1.0
        directions.append(
            Direction(
                name=words.name if count == 1 else f"{words.name} {count}",
                vector=tuple(vector),
                minimum=round(max(-LONGEST_RANGE, min(-SHORTEST_RANGE, low[item.axis])), 2),
                maximum=round(min(LONGEST_RANGE, max(SHORTEST_RANGE, high[item.axis])), 2),
                negative_label=words.negative,
                positive_label=words.positive,
                effect=round(item.effect, 5),
            )
        )
    return tuple(directions)
