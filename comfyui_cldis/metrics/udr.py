"""UDR, a rival without labels: a code is disentangled if other trainings find the same one.

Source: Duan et al. 2020, "Unsupervised Model Selection for Variational Disentangled Representation
Learning" (arXiv:1905.12614), Eq. 3, with rank correlation as the similarity (UDR_S).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .active import MIN_SD
from .representation import standard_deviations

Array = NDArray[np.floating]


def similarity(first: Array, second: Array) -> Array:
    """Absolute rank correlation between the dimensions of two codes of the same rows.

    Args:
        first, second: (n, N) and (n, M), row by row of the same images.

    Returns:
        (N, M) in [0, 1]; 0 for a dimension that does not vary.

    Raises:
        ValueError: other numbers of rows, or fewer than two.
    """
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"The codes have shapes {first.shape} and {second.shape}. Give two arrays (n, N) and "
            "(n, M) of the same n >= 2 images."
        )
    a, b = _standard_ranks(first), _standard_ranks(second)
    return np.abs(a.T @ b) / len(first)


def udr_pair(first: Array, second: Array) -> float:
    """How well the informative dimensions of two codes match one to one, in [0, 1].

    UDR_ij = (sum_b r_b^2 / sum_a R_ab + sum_a r_a^2 / sum_b R_ab) / (d_a + d_b), R the similarity
    between the d_a and d_b informative dimensions alone, r the largest of its column or row. The
    paper calls a dimension informative if its KL exceeds .01; here, where only codes are given, if
    its standard deviation is at least .05. 0 where a code has no informative dimension.
    """
    informative = [standard_deviations(codes) >= MIN_SD for codes in (first, second)]
    matches = similarity(first, second)[informative[0]][:, informative[1]]
    if matches.size == 0:
        return 0.0
    total = 0.0
    for values in (matches, matches.T):
        sums = values.sum(0)
        total += float((values.max(0) ** 2 / np.where(sums > 0, sums, 1)).sum())
    return total / sum(matches.shape)


def udr(codes: Sequence[Array]) -> list[float]:
    """UDR of each of several trainings of one configuration: the median over its pairs.

    Args:
        codes: (n, N) each, of the same images; the paper takes at least five trainings.

    Raises:
        ValueError: fewer than two codes, or codes of other images.
    """
    if len(codes) < 2:
        raise ValueError(f"UDR compares trainings; {len(codes)} was given. Give two or more.")
    pairs = np.full((len(codes), len(codes)), np.nan)
    for i, first in enumerate(codes):
        for j in range(i):
            pairs[i, j] = pairs[j, i] = udr_pair(first, codes[j])
    return [float(value) for value in np.nanmedian(pairs, axis=1)]


def _standard_ranks(codes: Array) -> Array:
    """Ranks per column, ties averaged, mean 0 and variance 1 (0 for a constant column)."""
    ranks = np.empty(codes.shape, dtype=np.float64)
    for column in range(codes.shape[1]):
        _, place, counts = np.unique(codes[:, column], return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks[:, column] = (ends - (counts - 1) / 2)[place]
    ranks -= ranks.mean(0)
    deviation = ranks.std(0)
    return ranks / np.where(deviation > 0, deviation, 1)
