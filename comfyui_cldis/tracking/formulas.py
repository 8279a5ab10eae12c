"""The parts of the content-tracking score, as pure functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_TINY = 1e-12


class Importance(NamedTuple):
    """How directions and pseudo-factors belong together.

    Attributes:
        matrix: (n, K), the shares: squared components, each column divided by its sum; a column of
            a pseudo-factor that no direction moves is 0.
        purity: P in [0, 1]: each direction moves one pseudo-factor.
        compactness: Q in [0, 1]: each pseudo-factor is moved by one direction.
        row_purity: (n,), of each direction; P is their mean, weighted by the row sums.
    """

    matrix: np.ndarray
    purity: float
    compactness: float
    row_purity: np.ndarray


def importance(components: np.ndarray) -> Importance:
    """P and Q of the components (n, K) of n directions along K pseudo-factors.

    With a single pseudo-factor every direction is pure; with a single direction every
    pseudo-factor is compact.

    Source: the formulas of D and C in Eastwood and Williams 2018 (DCI), section 2, applied to the
    squared components.
    """
    squared = np.square(components)
    return importance_of_shares(squared / np.maximum(squared.sum(axis=0), _TINY))


def importance_of_shares(matrix: np.ndarray) -> Importance:
    """The same of shares (n, K) as they are; a column that adds up to less counts less."""
    row_purity, column_purity = _concentration(matrix), _concentration(matrix.T)
    return Importance(
        matrix=matrix,
        purity=_weighted(row_purity, matrix.sum(axis=1)),
        compactness=_weighted(column_purity, matrix.sum(axis=0)),
        row_purity=row_purity,
    )


def similarities(effects: np.ndarray) -> np.ndarray:
    """Cosines (n, n) between the mean effects of directions (n, B, F); the diagonal is 0."""
    unit = _unit(effects.mean(axis=1))
    cosines = np.clip(unit @ unit.T, 0.0, 1.0)
    np.fill_diagonal(cosines, 0.0)
    return cosines


def distinctness(cosines: np.ndarray) -> float:
    """X in [0, 1]: 1 less the mean over directions of the cosine with the most similar other."""
    return float(1 - cosines.max(axis=1).mean())


def consistency(effects: np.ndarray) -> float | None:
    """S of one direction in [0, 1]: mean cosine between its effects (B, F) on different bases.

    None for a single base.
    """
    count = len(effects)
    if count < 2:
        return None
    unit = _unit(effects)
    own = np.square(unit).sum()  # the number of bases on which anything happens
    return float((np.square(unit.sum(axis=0)).sum() - own) / (count * (count - 1)))


def rank_correlation(values: np.ndarray) -> float:
    """Spearman's rank correlation of the values (n,) with 0 .. n - 1; 0 when all are equal."""
    order = np.arange(len(values), dtype=np.float64)
    # The mean rank of equal values: halfway between the first and the last of them.
    below = (values[:, None] > values[None, :]).sum(axis=1)
    equal = (values[:, None] == values[None, :]).sum(axis=1)
    ranks = below + (equal - 1) / 2
    ranks, order = ranks - ranks.mean(), order - order.mean()
    length = np.sqrt(np.square(ranks).sum() * np.square(order).sum())
    return float(ranks @ order / length) if length else 0.0


def separation(purity: float, compactness: float, distinct: float) -> float:
    """(P Q X)^(1/3)."""
    return float(np.cbrt(purity * compactness * distinct))


def _concentration(shares: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row (n, m), to the base m; 0 for a row of zeros."""
    total = shares.sum(axis=1, keepdims=True)
    p = shares / np.maximum(total, _TINY)
    terms = np.where(p > 0, p * np.log(np.maximum(p, _TINY)), 0.0)
    values = 1 + terms.sum(axis=1) / np.log(max(shares.shape[1], 2))
    return np.where(total[:, 0] > 0, np.clip(values, 0.0, 1.0), 0.0)


def _weighted(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else 0.0


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _TINY)
