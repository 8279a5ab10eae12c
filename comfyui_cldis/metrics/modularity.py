"""Modularity: does each dimension tell of one factor only?

Source: Ridgeway and Mozer 2018, section 3 (arXiv:1802.05312), as in disentanglement_lib: mutual
information with codes in 20 bins, dimensions that tell of nothing count 0, plain mean over all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .discrete import NUM_BINS, histogram_bins, mutual_information
from .representation import Report, Representation, ignore, require


@dataclass(frozen=True)
class ModularitySettings:
    """Items, and bins per dimension."""

    num_train: int = 10_000
    num_bins: int = NUM_BINS


FULL = ModularitySettings()


def modularity(
    source: Representation,
    rng: np.random.Generator,
    settings: ModularitySettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"modularity": mean over the dimensions}, in [0, 1]."""
    data = source.sample(rng, settings.num_train)
    require(data, factors=2)
    bins = histogram_bins(data.codes, settings.num_bins)
    return {"modularity": modularity_of(mutual_information(bins, data.factors))}


def modularity_of(information: np.ndarray) -> float:
    """Mean over dimensions of 1 - (sum_k I^2 - max I^2) / (max I^2 (K - 1)); I is (N, K)."""
    squared = information**2
    largest = squared.max(axis=1)
    used = largest > 0
    spread = (squared.sum(axis=1) - largest)[used] / largest[used] / (information.shape[1] - 1)
    return float(np.sum(1 - spread) / len(information))
