"""What a labelled metric may ask of a representation: codes with their factors, drawn as it needs.

Codes are float64 (n, N); factors are int64 (n, K), and factor k takes the values 0 .. sizes[k] - 1.
Metrics that intervene on factors (FactorVAE, beta-VAE, OMES) need draws with one factor held or
changed; `arrays` answers from given rows, `generator` from any combination of factors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

CodesOf = Callable[[np.ndarray], np.ndarray]  # factors (n, K) -> codes (n, N)
Report = Callable[[float], None]  # the fraction done, in [0, 1]


class Labelled(NamedTuple):
    """Codes (n, N) float64 and the factors (n, K) int64 of the same items."""

    codes: np.ndarray
    factors: np.ndarray


class NotApplicable(ValueError):
    """The representation is sound, but this metric has no value for it; the text says why."""


class Representation(Protocol):
    """A source of codes with known factors. All randomness is the caller's `rng`."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each of the K factors, each at least 2."""
        ...

    def sample(self, rng: np.random.Generator, count: int) -> Labelled:
        """`count` draws; a source of given rows returns all its rows, in order."""
        ...

    def sample_split(
        self, rng: np.random.Generator, num_train: int, num_test: int, *, cap_rows: bool = False
    ) -> tuple[Labelled, Labelled]:
        """Draws to train on and to test on.

        A source of given rows returns its first two thirds and the rest, whatever the numbers;
        with `cap_rows` at most `num_train` and `num_test` of each.
        """
        ...

    def sample_fixed(self, rng: np.random.Generator, held: np.ndarray, size: int) -> np.ndarray:
        """(V, size, N): for each of the V factor indices in `held`, codes that share its value."""
        ...

    def sample_sharing(
        self, rng: np.random.Generator, held: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Two (V, size, N) arrays whose items share, pair by pair, the value of factor held[v]."""
        ...

    def sample_changing(
        self, rng: np.random.Generator, factor: int, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Two (n, N) arrays, n <= count, whose items differ, pair by pair, in that factor alone.

        Raises:
            NotApplicable: a source of given rows holds too few such pairs.
        """
        ...

    def recoded(self, codes_of: CodesOf, label: str) -> Representation:
        """The same source with other codes, computed from the factors alone."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts for the settings of a result, JSON-able."""
        ...


def require(data: Labelled, *, codes: int = 1, factors: int = 1) -> None:
    """Raises NotApplicable unless there are so many code dimensions and factors."""
    for name, have, need in (
        ("code dimension", data.codes.shape[1], codes),
        ("factor", data.factors.shape[1], factors),
    ):
        if have < need:
            raise NotApplicable(f"needs at least {need} {name}s to compare, got {have}")


def standard_deviations(codes: np.ndarray) -> np.ndarray:
    """(N,) sample standard deviations (divisor n - 1)."""
    return np.std(codes, axis=0, ddof=1)


def standardised(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Each array less the mean of `train`, over its deviation; constant dimensions become 0."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.where(deviation > 1e-12 * np.maximum(1.0, abs(mean)), deviation, np.inf)
    return [(codes - mean) / scale for codes in (train, *others)]


def ignore(fraction: float) -> None:
    """A Report that reports to nobody."""
