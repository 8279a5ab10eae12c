"""Codes in histogram bins, and entropies and mutual information of discrete columns, in nats."""

from __future__ import annotations

import numpy as np

NUM_BINS = 20


def histogram_bins(values: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """Columns of (n, M) cut into equally wide bins between their extremes: int64, 0 .. num_bins-1.

    A column that is constant, but for rounding errors, falls into one bin.
    """
    bins = np.zeros(values.shape, dtype=np.int64)
    for column in range(values.shape[1]):
        x = values[:, column].astype(np.float64)
        low, high = x.min(), x.max()
        if high - low > 1e-12 * max(abs(low), abs(high)):
            edges = np.linspace(low, high, num_bins + 1)
            bins[:, column] = np.digitize(x, edges[1:-1])
    return bins


def entropies(columns: np.ndarray) -> np.ndarray:
    """(M,) entropies of the integer columns of (n, M), values >= 0."""
    return np.array([_entropy(np.bincount(column)) for column in columns.T])


def mutual_information(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, B) plug-in estimates between the integer columns of (n, A) and (n, B), values >= 0."""
    result = np.empty((first.shape[1], second.shape[1]))
    alone_first, alone_second = entropies(first), entropies(second)
    for j, b in enumerate(second.T):
        for i, a in enumerate(first.T):
            joint = _entropy(_pair_counts(a, b))
            result[i, j] = max(0.0, alone_first[i] + alone_second[j] - joint)
    return result


def _pair_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of values occurs; the memory grows with the rows, not with the values."""
    size = int(b.max()) + 1
    pairs = a * size + b
    if (int(a.max()) + 1) * size > len(pairs):
        return np.unique(pairs, return_counts=True)[1]
    return np.bincount(pairs)


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-np.sum(share * np.log(share)))
