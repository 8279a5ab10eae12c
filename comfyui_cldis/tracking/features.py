"""What differs between two images, in words that hold for every image: position-free features.

Cells of an image say where something changed. A thing that lies elsewhere on each image then
changes other cells on each, though it does the same. The features here say what the content did,
wherever it lies: how far it went, how it grew, turned and changed colour.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEATURES = (
    "centre_x",
    "centre_y",
    "log_area",
    "stretch",
    "cross",
    "divergence",
    "curl",
    "L",
    "a",
    "b",
)
# Smallest root mean square that each is divided by: what noise of a pixel's edge alone makes of it.
# Centres in sides of the image, colours in CIELAB units, the others are ratios.
FEATURE_FLOORS = (0.005, 0.005, 0.05, 0.02, 0.02, 0.02, 0.02, 2.0, 2.0, 2.0)
_TINY = 1e-6


def effect_features(first: Tensor, second: Tensor, motion: Tensor, way_back: Tensor) -> Tensor:
    """What the content of each first image did to become that of its second.

    Content is what has another colour than the middle one of its image: each pixel weighs the
    square of its CIELAB distance from the medians of L, a and b. Moments of these weights give the
    centre; the area (as a participation ratio, so that the strength of the contrast does not
    matter); the stretch (across against down) and the cross moment, both as shares of the spread;
    and the content's mean colour. Divergence and curl are those of the field of nothing but even
    growth, turn and shift that fits the motion best.

    Args:
        first, second: CIELAB (n, 3, H, W).
        motion, way_back: (n, 2, H, W), from the first to the second and from the second to the
            first, x then y, in pixels; 0 where there is none.

    Returns:
        (n, 10), the changes of the FEATURES; of opposite sign for the opposite pair.
    """
    change = _moments(second) - _moments(first)
    flow = (_growth_and_turn(motion) - _growth_and_turn(way_back)) / 2
    return torch.cat([change[:, :5], flow, change[:, 5:]], dim=1)


def _moments(lab: Tensor) -> Tensor:
    """Centre, log area, stretch, cross moment and colour of the content: (n, 8)."""
    height, width = lab.shape[-2:]
    # On an expanded tensor the median is NaN (torch 2.13).
    middle = lab.flatten(2).contiguous().median(dim=2).values[:, :, None, None]
    weights = (lab - middle).square().sum(1) + _TINY  # (n, H, W)
    total = weights.sum((1, 2))
    share = weights / total[:, None, None]
    side = max(height, width)
    rows, columns = torch.meshgrid(
        torch.arange(height) / side, torch.arange(width) / side, indexing="ij"
    )
    x, y = (share * columns).sum((1, 2)), (share * rows).sum((1, 2))
    across, down = columns - x[:, None, None], rows - y[:, None, None]
    xx, yy = (share * across.square()).sum((1, 2)), (share * down.square()).sum((1, 2))
    spread = (xx + yy).clamp(min=_TINY)
    return torch.stack(
        [
            x,
            y,
            -share.square().sum((1, 2)).log(),
            (xx - yy) / spread,
            2 * (share * across * down).sum((1, 2)) / spread,
            *(share[:, None] * lab).sum((2, 3)).unbind(1),
        ],
        dim=1,
    )


def _growth_and_turn(motion: Tensor) -> Tensor:
    """Divergence and curl (n, 2) of the growth and turn about the centre of what moves."""
    moves = motion.abs().amax(dim=1) > 0  # (n, H, W)
    count = moves.sum((1, 2)).clamp(min=1)
    rows, columns = torch.meshgrid(
        *(torch.arange(size, dtype=motion.dtype) for size in motion.shape[-2:]), indexing="ij"
    )
    across = (columns - ((moves * columns).sum((1, 2)) / count)[:, None, None]) * moves
    down = (rows - ((moves * rows).sum((1, 2)) / count)[:, None, None]) * moves
    spread = (across.square() + down.square()).sum((1, 2)).clamp(min=1)
    right, below = motion.unbind(1)
    divergence = 2 * (across * right + down * below).sum((1, 2)) / spread
    curl = 2 * (across * below - down * right).sum((1, 2)) / spread
    return torch.stack([divergence, curl], dim=1)
