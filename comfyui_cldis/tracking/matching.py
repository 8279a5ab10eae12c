"""Which pseudo-factor of one base image is which of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ROUNDS = 10  # of matching and averaging; three or four settle
_TINY = 1e-12


def mean_shares(descriptions: Sequence[np.ndarray], shares: Sequence[np.ndarray]) -> np.ndarray:
    """Shares of the pseudo-factors in the directions, mean over bases whose factors are matched.

    Each pseudo-factor of a base goes to one of K common ones, no two to the same, so that the
    cosines of their descriptions, whatever their signs, have the largest sum; a common one is then
    described by the mean of those that went to it, with their signs made alike, and so on until
    nothing changes. Every base that has all K serves once as the start; the best end is kept.

    Args:
        descriptions: for each base (K_b, F), what its pseudo-factors do.
        shares: for each base (n, K_b), how much of them there is in the n directions.

    Returns:
        (n, K), K the largest K_b. A pseudo-factor that a base lacks counts there as 0.

    Raises:
        ModuleNotFoundError: scipy is missing.

    Source: k-means with the assignment constraint of Wagstaff et al. 2001 (ICML) that no two of one
    base go together; each assignment by `scipy.optimize.linear_sum_assignment`.
    """
    assign = assignment_solver()
    units = [_unit(each) for each in descriptions]
    most = max(len(each) for each in units)
    best, largest = [np.arange(len(each)) for each in units], -1.0
    for start in (each for each in units if most and len(each) == most):
        places, total = _settle(units, start, assign)
        if total > largest + 1e-9:
            best, largest = places, total
    mean = np.zeros((len(shares[0]), most))
    for place, share in zip(best, shares, strict=True):
        mean[:, place] += share / len(shares)
    return mean


def assignment_solver() -> Any:
    """`scipy.optimize.linear_sum_assignment`.

    Raises:
        ModuleNotFoundError: scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "scipy":
            raise
        raise ModuleNotFoundError(
            "Content tracking matches what base images have in common with SciPy, which is not "
            "installed. Run: python -m pip install scipy",
            name="scipy",
        ) from error
    return linear_sum_assignment


def _settle(
    units: Sequence[np.ndarray], common: np.ndarray, assign: Any
) -> tuple[list[np.ndarray], float]:
    """Where each pseudo-factor of each base goes, and the sum of the cosines."""
    places: list[np.ndarray] = []
    total = 0.0
    for _ in range(ROUNDS):
        before, places, total = places, [], 0.0
        gathered = np.zeros_like(common)
        for each in units:
            cosines = each @ common.T
            rows, place = assign(-np.abs(cosines))  # as many rows as the base has, in order
            chosen = cosines[rows, place]
            gathered[place] += np.where(chosen < 0, -1.0, 1.0)[:, None] * each
            places.append(place)
            total += float(np.abs(chosen).sum())
        common = _unit(gathered)
        if before and all(map(np.array_equal, before, places)):
            break
    return places, total


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _TINY)
