"""How much of an image's fine detail an edit has left where nothing should change."""

from __future__ import annotations

import numpy as np


def detail_kept(results: np.ndarray, originals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Energy of the gradients of the results, as a share of that of the originals.

    A gradient is the difference of two neighbouring pixels, across or down, and counts as much as
    the lesser of their weights, so that the border to what may change does not count.

    Args:
        results, originals: (n, C, H, W), both on one scale, H and W at least 2.
        weights: (n, 1, H, W) in [0, 1]: 1 where nothing should change.

    Returns:
        (n,) float64: 1 for the original itself; less for a smoother image, about .12 for a head of
        512 pixels that was shrunk to 64 and enlarged; more for a sharper or noisier one. NaN for an
        original without any detail where the weights are above 0.

    Raises:
        ValueError: other shapes, or weights out of range.
    """
    shape = originals.shape
    if originals.ndim != 4 or min(shape[2:]) < 2 or results.shape != shape:
        raise ValueError(
            f"The results have shape {results.shape} and the originals {shape}. Give both as "
            "(n, C, H, W) with at least 2 x 2 pixels."
        )
    if weights.shape != (shape[0], 1, *shape[2:]):
        raise ValueError(
            f"The weights have shape {weights.shape}. Give them as {(shape[0], 1, *shape[2:])}."
        )
    if not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError("The weights are not all within [0, 1]. Give 1 for what should stay.")
    kept, all_there = _energy(results, weights), _energy(originals, weights)
    return np.divide(kept, all_there, out=np.full(shape[0], np.nan), where=all_there > 0)


def _energy(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) weighted sum of squared differences of neighbours."""
    images, weights = images.astype(np.float64), weights.astype(np.float64)
    across = np.square(images[..., 1:] - images[..., :-1])
    down = np.square(images[..., 1:, :] - images[..., :-1, :])
    across *= np.minimum(weights[..., 1:], weights[..., :-1])
    down *= np.minimum(weights[..., 1:, :], weights[..., :-1, :])
    return across.sum(axis=(1, 2, 3)) + down.sum(axis=(1, 2, 3))
