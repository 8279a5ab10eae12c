"""Semantic encoder of Diff-AE: image -> code.

Source: Preechakul et al. 2022, section 3.2; github.com/phizaz/diffae, model/unet.py (MIT).
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import normalised
from .blocks import Attention, Downsample, ResBlock, Stage, group_norm
from .config import DiffAEConfig


class Encoder(nn.Module):
    """A half U-Net without time, and the mean of its last feature map."""

    def __init__(self, config: DiffAEConfig, operations: Any = nn) -> None:
        super().__init__()
        widths, size = config.encoder_widths, config.image_size
        channels = widths[0]
        stem = operations.Conv2d(config.in_channels, channels, 3, padding=1)
        self.input_blocks = nn.ModuleList([Stage([stem])])
        for level, width in enumerate(widths):
            for _ in range(config.encoder_num_res_blocks):
                stage = Stage([ResBlock(channels, width, operations=operations)])
                channels = width
                if size in config.encoder_attention_sizes:
                    stage.append(Attention(channels, config, operations))
                self.input_blocks.append(stage)
            if level < len(widths) - 1:
                self.input_blocks.append(Stage([_halving(channels, config, operations)]))
                size //= 2
        self.middle_block = Stage(
            [
                ResBlock(channels, channels, operations=operations),
                Attention(channels, config, operations),
                ResBlock(channels, channels, operations=operations),
            ]
        )
        self.out = nn.ModuleList(
            [
                group_norm(channels, operations),
                nn.SiLU(),
                nn.AdaptiveAvgPool2d(1),
                operations.Conv2d(channels, config.latent_dim, 1),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) in [-1, 1] -> (B, N)."""
        h = x
        for stage in self.input_blocks:
            h = stage(h)
        h = F.silu(normalised(self.out[0], self.middle_block(h)))
        return self.out[3](self.out[2](h)).flatten(1)


def _halving(channels: int, config: DiffAEConfig, operations: Any) -> nn.Module:
    if not config.has_resampling_blocks:
        return Downsample(channels, config.has_resampling_convolutions, operations)
    return ResBlock(channels, channels, resample=Downsample(channels, False), operations=operations)
