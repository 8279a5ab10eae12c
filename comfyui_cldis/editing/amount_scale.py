"""The scale of a slider: how far along its direction an amount moves the code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from .polyline import between

MAX_MARKS = 65  # of one scale; a file could otherwise ask for any memory


@dataclass(frozen=True)
class AmountScale:
    """A rising line through 0 with bends: straight between its marks, and beyond the outermost.

    Attributes:
        amounts: (P,) rising, 2 <= P <= 65; one of them is 0.
        distances: (P,) rising, where each amount lies on the direction, in standard deviations;
            0 at amount 0.

    Raises:
        ValueError: marks that break these rules, or are not finite.
    """

    amounts: tuple[float, ...]
    distances: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.amounts)
        if not 2 <= count <= MAX_MARKS or len(self.distances) != count:
            raise ValueError(
                f"A scale has {count} amounts and {len(self.distances)} distances. "
                f"Give as many of each, from 2 to {MAX_MARKS}."
            )
        for name, values in (("amounts", self.amounts), ("distances", self.distances)):
            if not all(map(math.isfinite, values)):
                raise ValueError(f"The {name} of a scale are not finite. Give finite numbers.")
            if any(after <= before for before, after in pairwise(values)):
                raise ValueError(f"The {name} of a scale do not rise. Sort them, each once.")
        if 0 not in self.amounts or self.distances[self.amounts.index(0)] != 0:
            raise ValueError("A scale does not pass through 0. Give the amount 0 the distance 0.")

    def distance(self, amount: float) -> float:
        """Where an amount lies on the direction, in standard deviations; 0 for 0."""
        return _at(amount, self.amounts, self.distances)

    def amount(self, distance: float) -> float:
        """The amount that lies at a distance; the way back of `distance`."""
        return _at(distance, self.distances, self.amounts)

    def reversed(self) -> AmountScale:
        """The scale of the slider turned round."""
        turned = [
            tuple(0.0 - value for value in row[::-1]) for row in (self.amounts, self.distances)
        ]
        return AmountScale(*turned)


def _at(value: float, given: tuple[float, ...], wanted: tuple[float, ...]) -> float:
    if value == 0:
        return 0.0
    after, share = between(given, value)
    return (1 - share) * wanted[after - 1] + share * wanted[after]
