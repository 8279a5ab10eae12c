"""IRS: how little a dimension moves from all other factors while its own factor is held.

Source: Suter et al. 2019 (arXiv:1811.00007), as in disentanglement_lib: the 99 % quantile in
place of the maximum, factors in 20 bins, constant dimensions dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .discrete import NUM_BINS, histogram_bins
from .representation import Report, Representation, ignore


@dataclass(frozen=True)
class IrsSettings:
    """Items, bins per factor, and the quantile that stands for the largest deviation."""

    num_train: int = 10_000
    num_bins: int = NUM_BINS
    quantile: float = 0.99


FULL = IrsSettings()


def irs(
    source: Representation,
    rng: np.random.Generator,
    settings: IrsSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"irs": mean over dimensions, weighted by their largest deviation}; 0 without variation."""
    codes, factors = source.sample(rng, settings.num_train)
    codes = codes[:, np.ptp(codes, axis=0) > 0]
    if not codes.shape[1]:
        return {"irs": 0.0}
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    groups = histogram_bins(factors, settings.num_bins)
    deviation = np.zeros((codes.shape[1], factors.shape[1]))
    for k, group in enumerate(groups.T):
        values = np.unique(group)
        for value in values:
            held = codes[group == value]
            distance = np.abs(held - held.mean(axis=0))
            deviation[:, k] += np.quantile(distance, settings.quantile, axis=0) / len(values)
        report((k + 1) / factors.shape[1])
    robustness = 1 - deviation / largest[:, None]
    return {"irs": float(np.average(robustness.max(axis=1), weights=largest))}
