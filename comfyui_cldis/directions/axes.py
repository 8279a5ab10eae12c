"""The latent axes as directions: dead ones dropped, ordered by what they measurably change.

The simplest direction finder, and the control for better ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..editing.direction import Direction
from ..editing.editable import EditableModel, LatentStatistics
from ..editing.latent import Latent
from .ranking import VISIBLE_EFFECT, rank_vectors

__all__ = ["VISIBLE_EFFECT", "axis_ranges", "find_axes"]


def axis_ranges(statistics: LatentStatistics) -> Tensor:
    """(N, 2): the 0.5 and 99.5 % quantiles of the code, in standard deviations from the mean."""
    ends = torch.stack([statistics.low, statistics.high], dim=1)
    return (ends - statistics.mean[:, None]) / statistics.std[:, None]


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
        latent: base images with inverted x_T, at least one.
        smallest_effect: axes below are dropped as dead.
        on_axis: progress, called with the index of each axis measured.

    Returns:
        Empty when no axis has a visible effect.
    """
    return rank_vectors(
        model,
        latent,
        torch.eye(len(model.statistics.std)),
        axis_ranges(model.statistics),
        num_steps=num_steps,
        smallest_effect=smallest_effect,
        on_vector=on_axis,
    )
