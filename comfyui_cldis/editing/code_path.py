"""A bent direction: where the code moves at each amount, as a polyline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from .polyline import between

MAX_POINTS = 65  # of one path; a file could otherwise ask for any memory


@dataclass(frozen=True)
class CodePath:
    """Displacements of the code along a curve through its starting point.

    Attributes:
        amounts: (P,) rising, in standard deviations, 2 <= P <= 65; one of them is 0.
        points: (P, N), displacement at each amount, in units of the latent standard deviation per
            dimension; all zero at amount 0.

    Raises:
        ValueError: amounts or points that break these rules, or are not finite.
    """

    amounts: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        count = len(self.amounts)
        if not 2 <= count <= MAX_POINTS or len(self.points) != count:
            raise ValueError(
                f"A path has {count} amounts and {len(self.points)} points. "
                f"Give as many of each, from 2 to {MAX_POINTS}."
            )
        if len({len(point) for point in self.points}) != 1 or not self.points[0]:
            raise ValueError("The points of a path differ in length. Give N numbers for each.")
        if not all(map(math.isfinite, (*self.amounts, *(v for p in self.points for v in p)))):
            raise ValueError("A path holds numbers that are not finite. Give finite numbers.")
        if any(after <= before for before, after in pairwise(self.amounts)):
            raise ValueError("The amounts of a path do not rise. Sort them and give each once.")
        if 0 not in self.amounts or any(self.points[self.amounts.index(0)]):
            raise ValueError(
                "A path does not pass through its start. Give the amount 0 a point of zeros."
            )

    def displacement(self, amount: float) -> list[float]:
        """(N,) displacement at `amount`: straight between the points, and beyond both ends."""
        after, share = between(self.amounts, amount)
        first, second = self.points[after - 1], self.points[after]
        return [(1 - share) * a + share * b for a, b in zip(first, second, strict=True)]

    def reversed(self) -> CodePath:
        """The same curve with the ends changed over: what was at an amount is at its negative."""
        amounts = tuple(0.0 - amount for amount in self.amounts[::-1])  # no -0.0
        return CodePath(amounts, self.points[::-1])
