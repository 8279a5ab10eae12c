"""Finite factors of variation, their combinations, and what a data set of them must offer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np


def check_shape(image_size: int, channels: int | None) -> None:
    """Raises a ValueError for a size or a number of channels that no images have."""
    if image_size < 1:
        raise ValueError(f"image_size is {image_size}. Use 1 or more, such as 64.")
    if channels not in (None, 1, 3):
        raise ValueError(f"channels is {channels}. Use 1 (grey) or 3 (RGB).")


def check_image_size(image_size: int, smallest: int, largest: int, name: str) -> None:
    """Raises a ValueError for a size in pixels in which the set `name` cannot be drawn."""
    if not smallest <= image_size <= largest:
        raise ValueError(f"image_size is {image_size} for {name!r}. Use {smallest} to {largest}.")


@dataclass(frozen=True)
class FactorSpace:
    """Named factors with a finite number of levels each, and the grid of their combinations.

    A combination is a row of levels (K whole numbers, level 0 first), or one index into the grid
    in which the last factor changes fastest.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sizes) or not self.names or min(self.sizes) < 1:
            raise ValueError(
                f"The factors {self.names} have {self.sizes} levels. Give at least one name, and "
                "one size of at least 1 for each."
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"The factors {self.names} share a name. Rename one.")
        if self.num_combinations >= 2**63:
            raise ValueError(
                f"There are {self.num_combinations:.3g} combinations. Use fewer levels: at most "
                "2**63 - 1 combinations can be numbered."
            )

    @property
    def num_factors(self) -> int:
        """K."""
        return len(self.names)

    @property
    def num_combinations(self) -> int:
        """The size of the grid."""
        return math.prod(self.sizes)

    def to_index(self, factors: np.ndarray) -> np.ndarray:
        """Levels (n, K) -> indices (n,) int64.

        Raises:
            ValueError: another shape, no whole numbers, or a level out of range.
        """
        return self.check(factors) @ self._steps()

    def to_factors(self, indices: np.ndarray) -> np.ndarray:
        """Indices (n,) -> levels (n, K) int64.

        Raises:
            ValueError: another shape, no whole numbers, or an index out of range.
        """
        rows = np.asarray(indices)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise ValueError(
                f"The indices have shape {rows.shape} and type {rows.dtype}. Give (n,) whole "
                "numbers."
            )
        if rows.size and (rows.min() < 0 or rows.max() >= self.num_combinations):
            raise ValueError(
                f"The indices go from {rows.min()} to {rows.max()}. Use 0 to "
                f"{self.num_combinations - 1}."
            )
        return rows.astype(np.int64)[:, None] // self._steps() % np.array(self.sizes)

    def check(self, factors: np.ndarray) -> np.ndarray:
        """Returns the levels as (n, K) int64, checked.

        Raises:
            ValueError: another shape, no whole numbers, or a level out of range.
        """
        rows = np.asarray(factors)
        if rows.ndim != 2 or rows.shape[1] != self.num_factors or rows.dtype.kind not in "iu":
            raise ValueError(
                f"The factors have shape {rows.shape} and type {rows.dtype}. Give (n, "
                f"{self.num_factors}) whole numbers, a column for each of {', '.join(self.names)}."
            )
        outside = (rows < 0) | (rows >= np.array(self.sizes))
        if outside.any():
            row, column = (int(place) for place in np.argwhere(outside)[0])
            raise ValueError(
                f"{self.names[column]} is {rows[row, column]} in row {row}. Use 0 to "
                f"{self.sizes[column] - 1}."
            )
        return rows.astype(np.int64)

    def _steps(self) -> np.ndarray:
        """How far a step of each factor moves the index, (K,) int64."""
        following = [math.prod(self.sizes[place + 1 :]) for place in range(self.num_factors)]
        return np.array(following, dtype=np.int64)


class FactorData(Protocol):
    """Images for every combination of a factor space."""

    @property
    def name(self) -> str:
        """What to call it in tables; ends in "-equivalent" where it only resembles a known set."""
        ...

    @property
    def space(self) -> FactorSpace:
        """Its factors."""
        ...

    @property
    def image_size(self) -> int:
        """S."""
        ...

    @property
    def channels(self) -> int:
        """C, 1 (grey) or 3 (RGB)."""
        ...

    def images(self, factors: np.ndarray) -> np.ndarray:
        """Levels (n, K) -> images (n, S, S, C) uint8.

        Raises:
            ValueError: levels that do not fit the space.
        """
        ...


def sample_factors(
    space: FactorSpace, num_samples: int, generator: np.random.Generator
) -> np.ndarray:
    """Draws every factor independently and uniformly: levels (num_samples, K) int64.

    Raises:
        ValueError: a negative number.
    """
    if num_samples < 0:
        raise ValueError(f"num_samples is {num_samples}. Use 0 or more.")
    return generator.integers(0, space.sizes, size=(num_samples, space.num_factors))


def sample_combinations(
    space: FactorSpace, num_samples: int, generator: np.random.Generator
) -> np.ndarray:
    """Draws combinations that all differ, in random order: levels (num_samples, K) int64.

    Raises:
        ValueError: a negative number, or more than there are.
    """
    if not 0 <= num_samples <= space.num_combinations:
        raise ValueError(
            f"num_samples is {num_samples}, and each of the {space.num_combinations} combinations "
            "is drawn once at most. Ask for fewer."
        )
    indices = generator.choice(space.num_combinations, num_samples, replace=False)
    return space.to_factors(np.asarray(indices, dtype=np.int64))
