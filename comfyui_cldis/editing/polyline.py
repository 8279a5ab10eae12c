"""Where a value lies between rising marks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def between(marks: Sequence[float], value: float) -> tuple[int, float]:
    """The piece that a value lies on, and how far along: the index of its upper mark, and a share.

    The share is 0 at the lower mark and 1 at the upper one; below the first and above the last
    mark the outermost piece goes on, so that it is negative or above 1.

    Args:
        marks: rising, at least two.
    """
    upper = min(max(bisect_right(marks, value), 1), len(marks) - 1)
    low, high = marks[upper - 1], marks[upper]
    return upper, (value - low) / (high - low)
