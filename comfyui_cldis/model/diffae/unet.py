"""Conditional U-Net of Diff-AE: predicts the noise from a noisy image, a timestep and the code.

Source: Preechakul et al. 2022, section 3.1; github.com/phizaz/diffae, model/unet.py (MIT).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import Upsample, normalised, timestep_embedding
from .blocks import Attention, Downsample, ResBlock, Stage, group_norm
from .config import DiffAEConfig


class DiffAEUNet(nn.Module):
    """U-Net whose down and up paths may differ in depth; a skip connection joins equal levels.

    Blocks of the up path take the feature maps of their level, the last first; where none is left,
    a block does without.
    """

    def __init__(self, config: DiffAEConfig, operations: Any = nn) -> None:
        super().__init__()
        self.config = config
        self.time_embed = nn.Sequential(
            operations.Linear(config.base_channels, config.embed_dim),
            nn.SiLU(),
            operations.Linear(config.embed_dim, config.embed_dim),
        )
        size, channels, last = config.image_size, config.widths[0], len(config.widths) - 1

        def block(
            in_channels: int, out_channels: int, resample: nn.Module | None = None
        ) -> ResBlock:
            return ResBlock(
                in_channels,
                out_channels,
                time_dim=config.embed_dim,
                code_dim=config.latent_dim,
                resample=resample,
                operations=operations,
            )

        stem = operations.Conv2d(config.in_channels, channels, 3, padding=1)
        self.input_blocks = nn.ModuleList([Stage([stem])])
        self.input_levels: list[int] = [0]
        self.output_levels: list[int] = []
        skips: list[list[int]] = [[] for _ in config.widths]  # channels, by level
        skips[0].append(channels)

        for level, width in enumerate(config.down_widths):
            for _ in range(config.down_blocks):
                stage = Stage([block(channels, width)])
                channels = width
                if size in config.attention_sizes:
                    stage.append(Attention(channels, config, operations))
                self._add(stage, level, skips, channels)
            if level < last:
                halving = (
                    block(channels, channels, Downsample(channels, False))
                    if config.has_resampling_blocks
                    else Downsample(channels, config.has_resampling_convolutions, operations)
                )
                self._add(Stage([halving]), level + 1, skips, channels)
                size //= 2

        self.middle_block = Stage(
            [
                block(channels, channels),
                Attention(channels, config, operations),
                block(channels, channels),
            ]
        )

        self.output_blocks = nn.ModuleList()
        for level in range(last, -1, -1):
            for index in range(config.num_res_blocks + 1):
                beside = skips[level].pop() if skips[level] else 0
                stage = Stage([block(channels + beside, config.widths[level])])
                channels = config.widths[level]
                if size in config.attention_sizes:
                    stage.append(Attention(channels, config, operations))
                if level and index == config.num_res_blocks:
                    doubled: nn.Module = nn.Upsample(scale_factor=2.0, mode="nearest")
                    if config.has_resampling_blocks:
                        doubled = block(channels, channels, doubled)
                    elif config.has_resampling_convolutions:
                        doubled = Upsample(channels, channels, operations)
                    stage.append(doubled)
                    size *= 2
                self.output_blocks.append(stage)
                self.output_levels.append(level)

        self.out = nn.ModuleList(
            [
                group_norm(channels, operations),
                nn.SiLU(),
                operations.Conv2d(channels, config.in_channels, 3, padding=1),
            ]
        )

    def _add(self, stage: Stage, level: int, skips: list[list[int]], channels: int) -> None:
        self.input_blocks.append(stage)
        self.input_levels.append(level)
        skips[level].append(channels)

    def conditions(self, z: Tensor) -> list[Tensor]:
        """The scales (B, C) of each residual block that the code z (B, N) gives."""
        blocks = [block for block in self.modules() if isinstance(block, ResBlock)]
        return [block.cond_emb_layers(z) for block in blocks]

    def forward(self, x_t: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Noisy images (B, C, S, S), timesteps (B,) in [0, T), codes (B, N) -> noise (B, C, S, S),
        dtype of `x_t`."""
        embedding = timestep_embedding(t, self.config.base_channels)
        time = self.time_embed(embedding.to(x_t.dtype))
        skips: list[list[Tensor]] = [[] for _ in self.config.widths]
        h = x_t
        for level, stage in zip(self.input_levels, self.input_blocks, strict=True):
            h = stage(h, time, z)
            skips[level].append(h)
        h = self.middle_block(h, time, z)
        for level, stage in zip(self.output_levels, self.output_blocks, strict=True):
            if skips[level]:
                h = torch.cat([h, skips[level].pop()], dim=1)
            h = stage(h, time, z)
        return self.out[2](F.silu(normalised(self.out[0], h)))
