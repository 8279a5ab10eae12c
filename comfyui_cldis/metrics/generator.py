"""A representation that can be asked for the code of any combination of factors.

Factors are independent and uniform, as in the factor data sets: a function draws the image of a
combination, another encodes it. Metrics see only factors and codes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .representation import CodesOf, Labelled, Representation

ImagesOf = Callable[[np.ndarray], np.ndarray]  # factors (n, K) -> images (n, ...)
Encode = Callable[[np.ndarray], np.ndarray]  # images (n, ...) -> codes (n, N)
PosteriorOf = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class FactorRepresentation:
    """Codes of independent uniform factors with `sizes` values each, through `codes_of`.

    Raises:
        ValueError: no factor, or a factor of fewer than two values; later, codes of the wrong
            shape or with NaN.
    """

    sizes: tuple[int, ...]
    codes_of: CodesOf
    label: str = "mean"

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 2:
            raise ValueError(
                f"Factor sizes are {list(self.sizes)}; each factor needs at least two values. "
                "Leave out the factors that do not vary."
            )

    def sample(self, rng: np.random.Generator, count: int) -> Labelled:
        factors = self._draw(rng, (count,))
        return Labelled(self._encode(factors), factors)

    def sample_split(
        self, rng: np.random.Generator, num_train: int, num_test: int, *, cap_rows: bool = False
    ) -> tuple[Labelled, Labelled]:
        return self.sample(rng, num_train), self.sample(rng, num_test)

    def sample_fixed(self, rng: np.random.Generator, held: np.ndarray, size: int) -> np.ndarray:
        factors = self._draw(rng, (len(held), size))
        votes = np.arange(len(held))
        factors[votes, :, held] = factors[votes, 0, held][:, None]
        return self._encode(factors)

    def sample_sharing(
        self, rng: np.random.Generator, held: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        first, second = self._draw(rng, (len(held), size)), self._draw(rng, (len(held), size))
        votes = np.arange(len(held))
        second[votes, :, held] = first[votes, :, held]
        return self._encode(first), self._encode(second)

    def sample_changing(
        self, rng: np.random.Generator, factor: int, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        first = self._draw(rng, (count,))
        second = first.copy()
        step = rng.integers(1, self.sizes[factor], size=count)
        second[:, factor] = (first[:, factor] + step) % self.sizes[factor]
        return self._encode(first), self._encode(second)

    def recoded(self, codes_of: CodesOf, label: str) -> Representation:
        return FactorRepresentation(self.sizes, codes_of, label)

    def describe(self) -> dict[str, Any]:
        return {"source": "factors", "codes": self.label, "factor_sizes": list(self.sizes)}

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(0, self.sizes, size=(*shape, len(self.sizes)), dtype=np.int64)

    def _encode(self, factors: np.ndarray) -> np.ndarray:
        """Codes (..., N) of factors (..., K)."""
        rows = factors.reshape(-1, factors.shape[-1])
        codes = np.asarray(self.codes_of(rows), dtype=np.float64)
        if codes.ndim != 2 or len(codes) != len(rows):
            raise ValueError(
                f"The encoder gave codes of shape {codes.shape} for {len(rows)} items; expected "
                f"({len(rows)}, N). Return one row of scalars per item."
            )
        if not np.isfinite(codes).all():
            raise ValueError("The encoder gave NaN or infinity. Check the model's weights.")
        return codes.reshape(*factors.shape[:-1], -1)


def coded_images(images_of: ImagesOf, encode: Encode, batch_size: int = 256) -> CodesOf:
    """Factors -> images -> codes, at most `batch_size` images at a time."""

    def codes_of(factors: np.ndarray) -> np.ndarray:
        parts = range(0, len(factors), batch_size)
        return np.concatenate([encode(images_of(factors[i : i + batch_size])) for i in parts])

    return codes_of


def sampled_codes(posterior_of: PosteriorOf, seed: int) -> CodesOf:
    """Draws from Gaussian posteriors: `posterior_of(factors)` gives means and deviations (n, N).

    The noise follows from the seed and the factors asked for, so that no metric's draws change
    those of another.
    """

    def codes_of(factors: np.ndarray) -> np.ndarray:
        mean, deviation = posterior_of(factors)
        rng = np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(factors).tobytes())])
        return mean + deviation * rng.standard_normal(np.shape(mean))

    return codes_of


def tabulated(
    codes_of: CodesOf, sizes: Sequence[int], on_progress: Callable[[float], None] | None = None
) -> CodesOf:
    """The same codes from a table of the whole factor grid, each combination encoded once.

    Worth it when the protocol asks for more codes (2.9 million) than the grid has combinations.
    """
    total, size = math.prod(sizes), 4096
    parts = []
    for start in range(0, total, size):
        flat = np.arange(start, min(start + size, total))
        parts.append(codes_of(np.stack(np.unravel_index(flat, sizes), axis=1)))
        if on_progress is not None:
            on_progress((start + len(flat)) / total)
    table = np.concatenate(parts)

    def look_up(factors: np.ndarray) -> np.ndarray:
        return table[np.ravel_multi_index(tuple(factors.T), sizes)]

    return look_up
