"""Some of many items, spread over all of them."""

from __future__ import annotations

import numpy as np


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of the indices 0 .. count - 1 (int64), evenly spaced, first and last included.

    With `most` = 1 it is the first alone.
    """
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
