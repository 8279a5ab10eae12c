"""A local affine map of colours between two small images.

In every window after = A before + b, fitted with a ridge that pulls A towards the identity: a
guided filter from one image to another.

Source: He, Sun and Tang 2013 (TPAMI 35), equations 5 to 8, for colour guides and a ridge towards
the identity instead of zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .windows import window_mean


@dataclass(frozen=True)
class ColourMap:
    """after = before + gain before + offset, for each pixel.

    Attributes:
        gain: (B, C, C, n, n), A - 1; all zero where colours stay.
        offset: (B, C, n, n), in image units of [-1, 1].
    """

    gain: Tensor
    offset: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """The map on (B, C, n, n) of its own size."""
        return images + torch.einsum("bijhw,bjhw->bihw", self.gain, images) + self.offset


def fit_colour(before: Tensor, after: Tensor, *, radius: int, ridge: float) -> ColourMap:
    """The map from `before` to `after` in windows of 2 * radius + 1 pixels, smoothed as widely.

    Args:
        before, after: (B, C, n, n) in [-1, 1].
        ridge: variance (image units squared) of a window at which A is halfway to the identity.
    """
    batch, channels, height, width = before.shape
    size = (batch, channels, channels, height, width)

    def mean(values: Tensor) -> Tensor:
        return window_mean(values.reshape(batch, -1, height, width), radius)

    mean_before, mean_after = mean(before), mean(after)
    change = after - before
    mean_change = mean_after - mean_before
    own = mean(before[:, :, None] * before[:, None]).view(size)
    own = own - mean_before[:, :, None] * mean_before[:, None]
    common = mean(change[:, :, None] * before[:, None]).view(size)
    common = common - mean_change[:, :, None] * mean_before[:, None]
    # gain (own + ridge) = common, per pixel; `own` is symmetric
    damped = own + ridge * torch.eye(channels, device=own.device)[:, :, None, None]
    gain = solve(damped, common.transpose(1, 2)).transpose(1, 2)
    offset = mean_change - torch.einsum("bijhw,bjhw->bihw", gain, mean_before)
    return ColourMap(mean(gain).view(size), mean(offset))


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solution of matrix solution = right for every pixel, by elimination over all of them at once.

    For matrices as small as these it takes a tenth of the time of `torch.linalg.solve`. Without
    pivots, which symmetric positive definite matrices do not need.

    Args:
        matrix: (B, C, C, h, w), symmetric and positive definite for each pixel.
        right: (B, C, K, h, w).
    """
    matrix, solution = matrix.clone(), right.clone()
    channels = matrix.shape[1]
    for column in range(channels):
        pivot = matrix[:, column, column]
        for row in range(column + 1, channels):
            factor = matrix[:, row, column, None] / pivot[:, None]
            matrix[:, row, column + 1 :] -= factor * matrix[:, column, column + 1 :]
            solution[:, row] -= factor * solution[:, column]
    for row in reversed(range(channels)):
        for column in range(row + 1, channels):
            solution[:, row] -= matrix[:, row, column, None] * solution[:, column]
        solution[:, row] /= matrix[:, row, row, None]
    return solution
