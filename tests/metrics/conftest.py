"""Factors of a balanced grid, and the one code that the agreement tests score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

SIZES = (5, 4, 3)


@pytest.fixture
def grid() -> Callable[..., np.ndarray]:
    """`grid((2, 3), 10)`: each combination ten times, shuffled with a fixed seed."""

    def make(sizes: tuple[int, ...], repeats: int) -> np.ndarray:
        rows = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
        return np.random.default_rng(0).permutation(np.repeat(rows, repeats, axis=0))

    return make


@pytest.fixture
def centred() -> Callable[[np.ndarray], np.ndarray]:
    """Columns with mean 0 and deviation 1."""
    return lambda factors: (factors - factors.mean(axis=0)) / factors.std(axis=0)


@pytest.fixture
def reference_codes() -> Callable[[np.ndarray], np.ndarray]:
    """Factors (n, 3) of `SIZES` -> codes (n, 6): one clean, two turned against each other, a
    product, a hash that means nothing, and a dead one.
    """

    def codes_of(factors: np.ndarray) -> np.ndarray:
        sizes = np.array(SIZES)
        x = (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)
        nothing = (factors @ (7, 31, 57) * 7919) % 101 / 101
        columns = [
            x[:, 0],
            0.9 * x[:, 1] + 0.4 * x[:, 2],
            0.9 * x[:, 2] - 0.4 * x[:, 1],
            x[:, 0] * x[:, 1],
            nothing,
            0.01 * x[:, 2],
        ]
        return np.stack(columns, axis=1)

    return codes_of


@pytest.fixture
def reference_arrays(
    reference_codes: Callable[[np.ndarray], np.ndarray],
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """`reference_arrays(600)`: codes with noise, and factors, of that many random items."""

    def make(rows: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(7)
        factors = rng.integers(0, SIZES, size=(rows, 3))
        noise = 0.3 * rng.standard_normal((rows, 6)) * (1, 1, 1, 1, 1, 0.01)
        return reference_codes(factors) + noise, factors

    return make
