"""Mutual information gaps: how far the best dimension of each factor is ahead of the runner-up.

MIG divides by the factor's entropy: Chen et al. 2018, section 4 (arXiv:1802.04942), codes in 20
histogram bins as in disentanglement_lib. DMIG divides by what the gap can be at most when factors
depend on each other: Watcharasupat and Lerch 2021 (ISMIR late-breaking demo), and
their package Latte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .discrete import NUM_BINS, entropies, histogram_bins, mutual_information
from .representation import Labelled, Report, Representation, ignore, require


@dataclass(frozen=True)
class GapSettings:
    """Items, and bins per dimension."""

    num_train: int = 10_000
    num_bins: int = NUM_BINS


FULL = GapSettings()


def mig(
    source: Representation,
    rng: np.random.Generator,
    settings: GapSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"mig": mean over the factors of (best - runner-up) / H(factor)}."""
    data, information = _information(source, rng, settings)
    ordered = np.sort(information, axis=0)
    gaps = (ordered[-1] - ordered[-2]) / entropies(data.factors)
    return {"mig": float(np.mean(gaps))}


def dmig(
    source: Representation,
    rng: np.random.Generator,
    settings: GapSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"dmig": mean over the factors of (best - runner-up) / H(factor | the runner-up's factor)}.

    The paper assigns dimensions to factors in advance. Here a dimension belongs to the factors
    whose best it is, of these to the one it tells most of; if to none, H(factor) stays.
    """
    data, information = _information(source, rng, settings)
    order = np.argsort(information, axis=0)
    best, runner_up = order[-1], order[-2]
    entropy = entropies(data.factors)
    shared = mutual_information(data.factors, data.factors)
    scores = []
    for k in range(len(entropy)):
        owned = np.flatnonzero(best == runner_up[k])
        norm = entropy[k]
        if len(owned):
            owner = owned[np.argmax(information[runner_up[k], owned])]
            conditional = entropy[k] - shared[k, owner]
            # A factor that its neighbour determines has a gap of 0 whatever it is divided by.
            norm = conditional if conditional > 1e-9 else norm
        scores.append((information[best[k], k] - information[runner_up[k], k]) / norm)
    return {"dmig": float(np.mean(scores))}


def _information(
    source: Representation, rng: np.random.Generator, settings: GapSettings
) -> tuple[Labelled, np.ndarray]:
    data = source.sample(rng, settings.num_train)
    require(data, codes=2)
    bins = histogram_bins(data.codes, settings.num_bins)
    return data, mutual_information(bins, data.factors)
