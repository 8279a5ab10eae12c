"""Finished images, (n, S, S, C) uint8, brought to another size or number of channels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image


def resize_pixels(images: np.ndarray, image_size: int) -> np.ndarray:
    """Resizes squares: the mean over each new pixel's area to shrink, Lanczos to enlarge.

    The mean keeps flat parts flat and never leaves the range of levels, which drawn images with
    hard edges need.
    """
    side, channels = images.shape[1], images.shape[3]
    if side == image_size:
        return images
    resized = np.empty((len(images), image_size, image_size, channels), dtype=np.uint8)
    for pixels, target in zip(images, resized, strict=True):
        if image_size < side:
            target[...] = _shrink(pixels, image_size)
        else:
            image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            large = image.resize((image_size, image_size), Image.Resampling.LANCZOS)
            target[...] = np.asarray(large).reshape(target.shape)
    return resized


def grey_to_rgb(images: np.ndarray) -> np.ndarray:
    """(n, S, S, 1) -> (n, S, S, 3), the level repeated."""
    assert images.shape[3] == 1
    return np.repeat(images, 3, axis=3)


def _shrink(pixels: np.ndarray, image_size: int) -> np.ndarray:
    weights = _area_weights(len(pixels), image_size)
    side, _, channels = pixels.shape
    # (T, T * C) -> (S, T, C) -> (S, S, C)
    rows = weights @ pixels.astype(np.float32).reshape(side, -1)
    mean = weights @ rows.reshape(image_size, side, channels)
    return np.round(mean).astype(np.uint8)


@lru_cache(maxsize=8)
def _area_weights(side: int, image_size: int) -> np.ndarray:
    """(S, T): which part of each old pixel lies in each new one; rows sum to 1."""
    edges = np.arange(image_size + 1) * (side / image_size)
    starts = np.arange(side)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return (np.maximum(overlap, 0) * (image_size / side)).astype(np.float32)
