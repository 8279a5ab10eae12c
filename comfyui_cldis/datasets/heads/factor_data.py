"""The procedural heads as a factor data set: eleven continuous factors on a grid of levels."""

from __future__ import annotations

import numpy as np

from ..names import HEADS_NAME
from ..space import FactorSpace
from . import FACTORS, render_heads
from .generator import check_image_size

NUM_LEVELS = 10

SPACE = FactorSpace(tuple(factor.name for factor in FACTORS), (NUM_LEVELS,) * len(FACTORS))


class Heads:
    """Renders heads (n, S, S, 3) from levels (n, 11).

    Each continuous factor has ten levels, evenly spaced from the least to the greatest value that
    training images take, both included.
    """

    name = HEADS_NAME
    space = SPACE
    channels = 3

    def __init__(self, image_size: int) -> None:
        """Prepares heads of S = `image_size`.

        Raises:
            ValueError: a size out of range.
        """
        check_image_size(image_size)
        self.image_size = image_size

    def images(self, factors: np.ndarray) -> np.ndarray:
        """Levels (n, 11) -> (n, S, S, 3) uint8 RGB; one thread per core shares the work."""
        return render_heads(to_values(self.space.check(factors)), self.image_size, workers=None)


def to_values(levels: np.ndarray) -> np.ndarray:
    """Levels (n, 11) -> the generator's values (n, 11) float64."""
    low = np.array([factor.minimum for factor in FACTORS])
    high = np.array([factor.maximum for factor in FACTORS])
    return low + (high - low) * (levels / (NUM_LEVELS - 1))
