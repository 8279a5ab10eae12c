"""Means over windows, and sampling at moved places: what flow, colour and change are made of."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

# Side in pixels up to which a CPU takes means as products with a matrix: few calls count for more
# there than few operations. Measured in docs/log/speed.md.
LARGEST_PRODUCT = 64


def window_mean(images: Tensor, radius: int) -> Tensor:
    """Mean of (B, C, h, w) over windows of 2 * radius + 1 pixels, smaller ones at the edges."""
    height, width = images.shape[-2:]
    if images.is_cpu and max(height, width) <= LARGEST_PRODUCT:
        across = _averages(width, radius, images.dtype, images.device)
        down = _averages(height, radius, images.dtype, images.device)
        means = images.reshape(-1, width) @ across.T
        return (down @ means.view(-1, height, width)).view(images.shape)
    return _mean_along(_mean_along(images, radius, -1), radius, -2)


def _mean_along(images: Tensor, radius: int, dim: int) -> Tensor:
    """Sums written out: on a CPU, pooling takes several times as long."""
    size = images.shape[dim]
    total = images.clone()
    for away in range(1, min(radius, size - 1) + 1):
        total.narrow(dim, away, size - away).add_(images.narrow(dim, 0, size - away))
        total.narrow(dim, 0, size - away).add_(images.narrow(dim, away, size - away))
    share = _shares(size, radius, images.dtype, images.device)
    return total.mul_(share if dim == -1 else share[:, None])


@lru_cache(maxsize=64)
def _averages(size: int, radius: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(size, size): the matrix whose product with a column is its means over windows."""
    with torch.inference_mode(False):
        place = torch.arange(size, device=device)
        is_near = (place[:, None] - place).abs() <= radius
        return is_near.to(dtype) * _shares(size, radius, dtype, device)[:, None]


@lru_cache(maxsize=64)
def _shares(size: int, radius: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(size,): 1 over the number of pixels in the window of each place along a side."""
    with torch.inference_mode(False):
        place = torch.arange(size, dtype=dtype, device=device)
        return 1 / (place.clamp(max=radius) + place.flip(0).clamp(max=radius) + 1)


def shrink_to(images: Tensor, side: int) -> Tensor:
    """(B, C, h, w) -> (B, C, side, side): means of pixels where smaller, bicubic where larger."""
    if images.shape[-2:] == (side, side):
        return images
    if min(images.shape[-2:]) >= side:
        return functional.interpolate(images, size=(side, side), mode="area")
    return functional.interpolate(images, size=(side, side), mode="bicubic", align_corners=False)


def warp(images: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Each pixel from where it lies `flow` away; beyond the edges, from the nearest edge pixel.

    Args:
        images: (B, C, h, w).
        flow: (B, 2, h, w), x then y, in pixels: out(p) = images(p + flow(p)).
        mode: "bilinear" or "bicubic".
    """
    height, width = flow.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    places = torch.stack(
        [(x + flow[:, 0] + 0.5) * (2 / width) - 1, (y + flow[:, 1] + 0.5) * (2 / height) - 1],
        dim=-1,
    )
    return functional.grid_sample(
        images, places, mode=mode, padding_mode="border", align_corners=False
    )


def resize_flow(flow: Tensor, side: int) -> Tensor:
    """A flow (B, 2, n, n) in its pixels -> (B, 2, side, side) in those of `side`."""
    if flow.shape[-1] == side:
        return flow
    resized = functional.interpolate(flow, size=(side, side), mode="bilinear", align_corners=False)
    return resized * (side / flow.shape[-1])
