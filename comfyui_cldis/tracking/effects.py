"""What differs between two images of one thing: what moved, what changed colour or brightness.

Content is followed from one image to the other by dense flow, so that a part which moved does not
count as a part which changed colour. Both ways are measured and averaged, so that the order of the
two images matters to the signs alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .flow import Flow, dense_flow, edge_image, near_edges

CHANNELS = ("motion_x", "motion_y", "brightness", "colour")
NUM_SIGNED = 5  # motion across and down, then CIELAB L, a and b
GRID = 8  # cells along each side of the image
DEAD_ZONE = 0.5  # pixels; shorter motion is taken for the flow's own noise
# Content is lost where going there and back ends farther off than 1 pixel plus a tenth of the way.
TRACK_PIXELS, TRACK_SHARE = 1.0, 0.1


class Effects(NamedTuple):
    """The effects of n pairs of images, and the maps that a sheet draws.

    Attributes:
        cells: (n, 4, GRID, GRID), the CHANNELS, not negative: pixels of motion across and down,
            CIELAB units of |dL| and of the distance in (a, b); means over the cell, in which
            content that was lost counts as unchanged.
        signed: (n, NUM_SIGNED, GRID, GRID), the same before the absolute values are taken, from
            the first image to the second; of opposite sign for the opposite pair.
        tracked: (n,), share of the pixels near edges that were found again; 1 without edges.
        motion: (n, 2, H, W), from the first image to the second; 0 in the dead zone and away from
            edges.
        way_back: the same from the second image to the first.
        recoloured: (n, H, W), CIELAB distance after following the motion.
        found: (n, H, W) bool, where a pixel of the first image was found in the second.
    """

    cells: Tensor
    signed: Tensor
    tracked: Tensor
    motion: Tensor
    way_back: Tensor
    recoloured: Tensor
    found: Tensor


def measure_effects(method: Flow, first: Tensor, second: Tensor) -> Effects:
    """What it takes to turn each of the first images into its second.

    Args:
        first, second: CIELAB (n, 3, H, W), at least GRID pixels wide and high.

    Source: the forward-backward check follows Sundaram et al. 2010 (ECCV), Eq. 5, in a simpler
    form; the channels are this project's own.
    """
    first_edges, second_edges = edge_image(first), edge_image(second)
    forward = dense_flow(method, first_edges, second_edges)
    backward = dense_flow(method, second_edges, first_edges)
    there = _follow(first, second, forward, backward, near_edges(first_edges))
    back = _follow(second, first, backward, forward, near_edges(second_edges))
    return there._replace(
        cells=(there.cells + back.cells) / 2,
        signed=(there.signed - back.signed) / 2,
        tracked=(there.tracked + back.tracked) / 2,
        way_back=back.motion,
    )


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """`images(p + flow(p))`, bilinear; beyond the border its nearest pixel.

    Args:
        images: (n, C, H, W).
        flow: (n, 2, H, W), x then y, in pixels.
    """
    height, width = images.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = columns + flow[:, 0], rows + flow[:, 1]
    at = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return functional.grid_sample(
        images, at, mode="bilinear", padding_mode="border", align_corners=False
    )


def _follow(
    first: Tensor, second: Tensor, forward: Tensor, backward: Tensor, content: Tensor
) -> Effects:
    """Effects as seen from the first images; `content` (n, H, W) is where motion counts."""
    arrived = warp(torch.cat([second, backward], dim=1), forward)  # (n, 3 + 2, H, W)
    length = _length(forward)
    found = _length(forward + arrived[:, 3:]) < TRACK_PIXELS + TRACK_SHARE * length
    motion = torch.where((content & (length >= DEAD_ZONE))[:, None], forward, 0.0)
    difference = arrived[:, :3] - first
    signed = torch.cat([motion, difference], dim=1) * found[:, None]  # (n, NUM_SIGNED, H, W)
    sizes = torch.cat([signed[:, :3].abs(), _length(signed[:, 3:])[:, None]], dim=1)
    return Effects(
        cells=functional.adaptive_avg_pool2d(sizes, GRID),
        signed=functional.adaptive_avg_pool2d(signed, GRID),
        tracked=1 - (content & ~found).flatten(1).sum(1) / content.flatten(1).sum(1).clamp(min=1),
        motion=motion,
        way_back=-motion,  # until it is measured
        recoloured=_length(difference),
        found=found,
    )


def _length(vectors: Tensor) -> Tensor:
    """Length over dim 1; several times as quick as `norm` there."""
    return vectors.square().sum(1).sqrt()
