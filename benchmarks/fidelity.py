"""PSNR and SSIM of images against their truth, inside and outside of a region."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from kornia.metrics import ssim as ssim_map
from torch import Tensor

WINDOW = 11  # pixels of the Gaussian window of SSIM, as in Wang et al. 2004
LARGEST = 100.0  # dB: of images that do not differ at all


class Fidelity(NamedTuple):
    """PSNR in dB and SSIM in [-1, 1], each a mean over the images that have such pixels."""

    psnr: float
    ssim: float
    psnr_inside: float
    psnr_outside: float
    ssim_inside: float
    ssim_outside: float


def fidelity(images: Tensor, truth: Tensor, region: Tensor) -> Fidelity:
    """How close images come to their truth, everywhere, inside and outside of a region.

    SSIM is computed on the whole images and averaged over the region after that, so near the
    region's border it sees 5 pixels of the other side.

    Args:
        images, truth: (n, C, H, W) float32 in [0, 1], H and W at least 11.
        region: (n, 1, H, W) of 0 and 1, or between for pixels that lie on both sides.

    Returns:
        Means over the images; NaN where none of them has a pixel inside, or outside.

    Raises:
        ValueError: other shapes.
    """
    if images.shape != truth.shape or truth.ndim != 4 or min(truth.shape[2:]) < WINDOW:
        raise ValueError(
            f"The images have shape {tuple(images.shape)} and the truth {tuple(truth.shape)}. Give "
            f"both as (n, C, H, W) with at least {WINDOW} x {WINDOW} pixels."
        )
    wanted = (len(truth), 1, *truth.shape[2:])
    if region.shape != wanted:
        raise ValueError(f"The region has shape {tuple(region.shape)}. Give it as {wanted}.")
    errors = (images - truth).square().mean(1, keepdim=True)
    likeness = ssim_map(images, truth, WINDOW).mean(1, keepdim=True)
    sides = (torch.ones_like(region), region, 1 - region)
    psnr = [_mean(_decibels(_means(errors, side))) for side in sides]
    ssim = [_mean(_means(likeness, side)) for side in sides]
    return Fidelity(psnr[0], ssim[0], *psnr[1:], *ssim[1:])


def _means(values: Tensor, weights: Tensor) -> Tensor:
    """(m,) float64: weighted means of those of the images that have weights."""
    sums = weights.sum((1, 2, 3), dtype=torch.float64)
    weighted = (values * weights).sum((1, 2, 3), dtype=torch.float64)
    return weighted[sums > 0] / sums[sums > 0]


def _decibels(errors: Tensor) -> Tensor:
    return (-10 * errors.log10()).clamp(max=LARGEST)


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else math.nan
