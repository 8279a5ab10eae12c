"""R: which direction and how far, from the images before and after; jitter that hides colour."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 96)
GROUPS = 8
POOLED = 2  # cells to a side that are told apart at the end, so that places count
GAIN, OFFSET = 0.2, 0.1  # largest change of a channel's contrast and brightness
ZOOM, SLIDE = 0.1, 0.0625  # largest enlargement and shift, as shares of the image


class Guess(NamedTuple):
    """Logits of the direction (n, K) and the amount (n,) in standard deviations."""

    direction: Tensor
    amount: Tensor


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm_1 = nn.GroupNorm(GROUPS, out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm_2 = nn.GroupNorm(GROUPS, out_channels)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm_1(self.first(x)))
        return F.relu(self.skip(x) + self.norm_2(self.second(h)))


class Predictor(nn.Module):
    """A small residual network on the pair, stacked along the channels.

    Source: Voynov & Babenko 2020, who use a ResNet-18; group normalisation makes an item's guess
    independent of its batch.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        widths = (2 * channels, *WIDTHS)
        self.blocks = nn.Sequential(
            *(_Block(a, b, 2) for a, b in zip(widths[:-1], widths[1:], strict=True))
        )
        self.direction = nn.Linear(WIDTHS[-1] * POOLED**2, count)
        self.amount = nn.Linear(WIDTHS[-1] * POOLED**2, 1)

    def forward(self, before: Tensor, after: Tensor) -> Guess:
        """Two batches of images (n, C, S, S)."""
        h = self.blocks(torch.cat([before, after], dim=1))
        h = F.adaptive_avg_pool2d(h, POOLED).flatten(1)
        return Guess(self.direction(h), self.amount(h)[:, 0])


class Jitter(NamedTuple):
    """One change of colour and place per pair; both images of a pair get the same."""

    gain: Tensor
    offset: Tensor
    zoom: Tensor
    slide: Tensor

    @classmethod
    def draw(cls, count: int, channels: int, generator: torch.Generator) -> Jitter:
        """Uniform within the largest amounts; on the generator's device."""

        def uniform(*shape: int) -> Tensor:
            return 2 * torch.rand(shape, generator=generator) - 1

        return cls(
            gain=1 + GAIN * uniform(count, channels, 1, 1),
            offset=OFFSET * uniform(count, channels, 1, 1),
            zoom=1 - ZOOM * uniform(count).abs(),
            slide=2 * SLIDE * uniform(count, 2),  # in the units of grid_sample, -1 to 1
        )

    def __call__(self, images: Tensor) -> Tensor:
        """(n, C, S, S) -> the same, differentiable."""
        gain, offset, zoom, slide = (value.to(images) for value in self)
        matrix = zoom.new_zeros(len(zoom), 2, 3)
        matrix[:, 0, 0] = matrix[:, 1, 1] = zoom
        matrix[:, :, 2] = slide
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        return moved * gain + offset
