"""InfoMEC: modularity, explicitness and compactness as information, of the active dimensions.

InfoM and InfoC from nearest-neighbour mutual information over the factor's entropy; InfoE from the
log loss of an unpenalised logistic regression. Source: Hsu et al. 2023 (arXiv:2305.18378) and its
reference code for continuous codes. A dimension that tells of no factor, 0/0 there, counts 0 here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .discrete import entropies
from .learners import free_logistic_regression, neighbour_information
from .representation import NotApplicable, Report, Representation, ignore, require, standardised


@dataclass(frozen=True)
class InfoMecSettings:
    """Items; InfoM and InfoC drop dimensions with less than this share of the widest range."""

    num_train: int = 10_000
    min_range: float = 0.05


FULL = InfoMecSettings()
FAST = InfoMecSettings(num_train=3_000)


def infomec(
    source: Representation,
    rng: np.random.Generator,
    settings: InfoMecSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"infom", "infoe", "infoc"}; 0 is chance and 1 the best."""
    data = source.sample(rng, settings.num_train)
    require(data, factors=2)
    ranges = np.ptp(data.codes, axis=0)
    active = np.flatnonzero(ranges > settings.min_range * ranges.max())
    if not len(active):
        return {"infom": 0.0, "infoe": 0.0, "infoc": 0.0}
    if len(active) == 1:
        raise NotApplicable("compares active code dimensions, and only one is active")
    (codes,) = standardised(data.codes)
    entropy = entropies(data.factors)
    share = np.empty((len(active), len(entropy)))
    for done, (i, k) in enumerate(np.ndindex(*share.shape)):
        share[i, k] = neighbour_information(
            codes[:, active[i]], data.factors[:, k], seed=int(rng.integers(2**31))
        )
        report((done + 1) / (share.size + len(entropy)))
    share /= entropy
    gains = []
    for k in range(len(entropy)):
        gains.append(predictive_gain(codes, data.factors[:, k]))
        report((share.size + k + 1) / (share.size + len(entropy)))
    return {
        "infom": concentration(share),
        "infoe": float(np.mean(gains)),
        "infoc": concentration(share.T),
    }


def concentration(share: np.ndarray) -> float:
    """Mean over rows of max / sum, stretched so that equal columns give 0 and a single one 1."""
    total = share.sum(axis=1)
    chance = 1 / share.shape[1]
    ratio = np.where(total > 0, share.max(axis=1) / np.where(total > 0, total, 1), chance)
    return float((ratio.mean() - chance) / (1 - chance))


def predictive_gain(codes: np.ndarray, labels: np.ndarray) -> float:
    """1 - (log loss from the codes (n, N)) / (log loss without them), on the items fitted."""
    model = free_logistic_regression(codes, labels)
    chances = model.predict_proba(codes)
    own = chances[np.arange(len(labels)), np.searchsorted(model.classes_, labels)]
    loss = -np.mean(np.log(np.clip(own, np.finfo(np.float64).eps, 1)))
    # Without codes, classes weighted alike, the best constant answer is a uniform one.
    return float(1 - loss / np.log(len(model.classes_)))
