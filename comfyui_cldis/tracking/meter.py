"""Draws the images that the score asks for, in batches, and measures what differs in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..imaging.lab import lab_change
from .effects import Effects, measure_effects
from .features import effect_features
from .flow import Flow
from .generator import Generator, draw

BATCH_PAIRS = 16  # pairs of images drawn at once


class Pairs(NamedTuple):
    """What differs in n pairs: cells, signed, tracked as in `Effects`.

    Attributes:
        features: (n, 10), see `effect_features`.
        change: (n,) in CIELAB.
    """

    cells: np.ndarray
    signed: np.ndarray
    features: np.ndarray
    tracked: np.ndarray
    change: np.ndarray


class Path(NamedTuple):
    """One item at F amounts along a direction.

    Attributes:
        images: (F, C, H, W).
        from_first, from_last: cells (F, 4, GRID, GRID), from that frame to each.
        ends: the effects from the first to the last frame, n = 1.
    """

    images: Tensor
    from_first: np.ndarray
    from_last: np.ndarray
    ends: Effects


class Meter:
    """A generator together with a flow method; counts the images drawn."""

    def __init__(self, generator: Generator, method: Flow) -> None:
        self.generator = generator
        self.method = method
        self.num_images = 0

    def change(self, num_bases: int, ends: Tensor) -> float:
        """Mean CIELAB change between the first items shifted by ends[0] and by ends[1] (2, N)."""
        changes = [lab_change(low, high) for low, high in self._pairs(num_bases, ends)]
        return float(torch.cat(changes).mean())

    def pairs(self, num_bases: int, ends: Tensor) -> Pairs:
        """What differs between the first items shifted by ends[0] and by ends[1] (2, N)."""
        effects, features, change = [], [], []
        for low, high in self._pairs(num_bases, ends):
            effect = measure_effects(self.method, low, high)
            effects.append(effect)
            features.append(effect_features(low, high, effect.motion, effect.way_back))
            change.append(lab_change(low, high))
        return Pairs(
            cells=_array(torch.cat([part.cells for part in effects])),
            signed=_array(torch.cat([part.signed for part in effects])),
            features=_array(torch.cat(features)),
            tracked=_array(torch.cat([part.tracked for part in effects])),
            change=_array(torch.cat(change)),
        )

    def path(self, item: int, shifts: Tensor) -> Path:
        """Follows one item along ordered shifts (F, N)."""
        images, lab = self._draw(torch.full((len(shifts),), item), shifts)
        first = measure_effects(self.method, lab[:1].expand_as(lab), lab)
        last = measure_effects(self.method, lab[-1:].expand_as(lab), lab)
        ends = Effects(*(values[-1:] for values in first))
        return Path(images.detach().float().cpu(), _array(first.cells), _array(last.cells), ends)

    def _pairs(self, num_bases: int, ends: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for at in torch.arange(num_bases).split(BATCH_PAIRS):
            _, lab = self._draw(torch.cat([at, at]), ends.repeat_interleave(len(at), 0))
            yield lab[: len(at)], lab[len(at) :]

    def _draw(self, items: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        self.num_images += len(items)
        return draw(self.generator, items, shifts)


def _array(values: Tensor) -> np.ndarray:
    return values.double().numpy()
