"""The eleven independent factors of a procedural head, and their seeded random draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Factor:
    """One continuous cause of variation; draws are uniform in [minimum, maximum]."""

    name: str
    minimum: float
    maximum: float


# The background is a hue. It stops at 0.8 because a full turn would come back to the first colour,
# and a scalar latent cannot follow a circle.
FACTORS: tuple[Factor, ...] = (
    Factor("age", 0.1, 1.0),
    Factor("skin", 0.0, 1.0),
    Factor("hair_color", 0.0, 1.0),
    Factor("hair_length", 0.0, 1.0),
    Factor("fringe", 0.1, 1.0),
    Factor("mood", -1.0, 1.0),
    Factor("mouth", 0.0, 1.0),
    Factor("face_width", -0.7, 0.7),
    Factor("yaw", -0.42, 0.42),
    Factor("light", -0.8, 0.8),
    Factor("background", 0.0, 0.8),
)


def sample_factors(num_images: int, seed: int) -> np.ndarray:
    """Draws factors; row i depends only on (seed, i), so a longer draw starts with a shorter one.

    Returns:
        (num_images, 11) float64, columns in the order of FACTORS.

    Raises:
        ValueError: a negative count or seed.
    """
    if num_images < 0 or seed < 0:
        raise ValueError(
            f"num_images is {num_images} and seed {seed}. Use whole numbers from 0 for both."
        )
    low = np.array([factor.minimum for factor in FACTORS])
    high = np.array([factor.maximum for factor in FACTORS])
    unit = np.empty((num_images, len(FACTORS)))
    for index in range(num_images):
        unit[index] = np.random.default_rng([seed, index]).random(len(FACTORS))
    return low + unit * (high - low)


def check_factors(factors: np.ndarray) -> np.ndarray:
    """Returns the factors as (n, 11) float64, checked.

    Raises:
        ValueError: another shape, or a value outside its factor's range (NaN included).
    """
    values = np.asarray(factors, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(FACTORS):
        raise ValueError(
            f"The factors have shape {values.shape}. Give (n, {len(FACTORS)}), a column for each "
            f"of {', '.join(factor.name for factor in FACTORS)}."
        )
    for column, factor in enumerate(FACTORS):
        outside = ~((values[:, column] >= factor.minimum) & (values[:, column] <= factor.maximum))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"{factor.name} is {values[row, column]} in row {row}. Use a value from "
                f"{factor.minimum} to {factor.maximum}."
            )
    return values
