"""OMES: overlap and multiple encoding, from pairs that differ in one factor only. No classifier.

Source: Dapueto et al. 2024 (arXiv:2409.18017) and its code: association of dimension and factor =
1 - |correlation between the two sides of the pairs|, average pooling, alpha = .5. One deviation: a
negative correlation counts as none. The sides of a pair never agree in the changed factor, so a
dimension that is just that factor has the correlation -1 / (values - 1), which the original takes
for sameness: a two-valued factor would always score 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .active import MIN_SD
from .representation import Report, Representation, ignore, standard_deviations


@dataclass(frozen=True)
class OmesSettings:
    """Items for the deviations, pairs per factor, weight of overlap against multiple encoding."""

    num_train: int = 10_000
    num_pairs: int = 10_000
    alpha: float = 0.5
    min_sd: float = MIN_SD


FULL = OmesSettings()
FAST = OmesSettings(num_pairs=1_000)


def omes(
    source: Representation,
    rng: np.random.Generator,
    settings: OmesSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"omes": mean over the factors, in [0, 1]; "omes_pairs": the fewest pairs of a factor}."""
    deviations = standard_deviations(source.sample(rng, settings.num_train).codes)
    active = deviations >= settings.min_sd
    if not active.any():
        return {"omes": 0.0, "omes_pairs": 0}
    columns, num_pairs = [], []
    for k in range(len(source.sizes)):
        first, second = source.sample_changing(rng, k, settings.num_pairs)
        columns.append(association(first[:, active], second[:, active]))
        num_pairs.append(len(first))
        report((k + 1) / len(source.sizes))
    score = omes_of(np.stack(columns, axis=1), settings.alpha)
    return {"omes": score, "omes_pairs": min(num_pairs)}


def association(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,) 1 - correlation over the pairs (n, N), (n, N), cut to [0, 1]; 0 where nothing varies."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    varies = scale > 1e-12
    same = (first * second).sum(axis=0) / np.where(varies, scale, 1)
    return np.where(varies, 1 - np.clip(same, 0, 1), 0.0)


def omes_of(strength: np.ndarray, alpha: float = 0.5) -> float:
    """Mean over the factors of an association matrix (N, K); a factor that nothing encodes: 0.

    Overlap of (d, k): 1 - mean distance of row d from the unit vector k. Multiple encoding: the
    same of column k and the unit vector d. Both times the association, averaged with it as weight.
    """
    if not strength.size:
        return 0.0
    num_dims, num_factors = strength.shape
    # |e_k - s| sums to the rest of the row plus 1 - s[d, k].
    row = strength.sum(axis=1, keepdims=True) + 1 - 2 * strength
    column = strength.sum(axis=0, keepdims=True) + 1 - 2 * strength
    fit = alpha * (1 - row / num_factors) + (1 - alpha) * (1 - column / num_dims)
    weight = strength.sum(axis=0)
    scores = (fit * strength**2).sum(axis=0) / np.where(weight > 0, weight, 1)
    return float(np.mean(np.where(weight > 0, scores, 0.0)))
