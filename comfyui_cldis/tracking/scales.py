"""Effects as vectors whose channels count alike, whatever their units."""

from __future__ import annotations

import numpy as np

from .effects import CHANNELS, NUM_SIGNED
from .features import FEATURE_FLOORS, FEATURES

# Smallest root mean square that a channel is divided by, in the order of CHANNELS: pixels twice,
# CIELAB twice. A channel below it hardly occurs in this model; what it holds is mostly flow's error
# at edges that come and go, and must not be blown up to the size of the others.
CHANNEL_FLOORS = (0.2, 0.2, 2.0, 2.0)
# Features of one unit share a scale: across and down, the two moments, a and b.
ALIKE = (("centre_x", "centre_y"), ("stretch", "cross"), ("a", "b"))


def channel_scales(cells: np.ndarray) -> np.ndarray:
    """Root mean square of each channel over effects (m, 4, G, G), at least its floor: (4,)."""
    return np.maximum(np.sqrt(np.square(cells).mean(axis=(0, 2, 3))), CHANNEL_FLOORS)


def scaled(cells: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Effects (..., 4 or 5, G, G) as vectors (..., F), each channel divided by its scale (4,).

    Signed effects have two colours, a and b, which share the scale of the channel "colour".
    """
    if cells.shape[-3] == NUM_SIGNED:
        scales = scales[[0, 1, 2, 3, 3]]
    divided = cells / scales[:, None, None]
    return divided.reshape(*cells.shape[:-3], -1)


def scaled_features(features: np.ndarray) -> np.ndarray:
    """Features (n, B, 10), each divided by its root mean square, at least its floor."""
    scales = np.maximum(np.sqrt(np.square(features).mean(axis=(0, 1))), FEATURE_FLOORS)
    for names in ALIKE:
        group = [FEATURES.index(name) for name in names]
        scales[group] = scales[group].max()
    return features / scales


def channel_shares(effect: np.ndarray) -> dict[str, float]:
    """Share of each of CHANNELS in the squared length of a scaled effect (F,)."""
    energy = np.square(effect).reshape(len(CHANNELS), -1).sum(axis=1)
    shares = energy / max(float(energy.sum()), 1e-12)
    return dict(zip(CHANNELS, shares.tolist(), strict=True))
