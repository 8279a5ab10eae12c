"""Conditional U-Net: predicts noise or velocity from a noisy image, a timestep and the code z."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conditioning import Attention, CodeEmbedding, CodeTokens
from .config import ModelConfig
from .layers import Downsample, GroupNorm, ResBlock, Upsample, timestep_embedding, zeroed


class Stage(nn.Module):
    """A residual block and, at the configured sizes, the attention after it."""

    def __init__(self, block: ResBlock, attention: Attention | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(
        self, h: Tensor, time: Tensor, code: Tensor | None, tokens: Tensor | None
    ) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        h = self.block(h, time, code)
        return h if self.attention is None else self.attention(h, tokens)


class ConditionalUNet(nn.Module):
    """U-Net with time and code conditioning; see `DecoderConfig` for the two conditioners.

    The input also reaches the output directly, scaled per channel by a gain learned as a function
    of time (zero at the start). A velocity contains the noise itself, which a narrow first level
    cannot carry through its nonlinearity; with the direct path it need not. The idea of a skip
    that depends on the noise level is from Karras et al. 2022 (EDM, arXiv:2206.00364), section 5.
    """

    def __init__(self, config: ModelConfig, operations: Any = nn) -> None:
        super().__init__()
        part = config.decoder
        self.patch_size = config.patch_size
        self.time_channels = part.base_channels * 2
        self.time = nn.Sequential(
            operations.Linear(self.time_channels, part.embed_dim),
            nn.SiLU(),
            operations.Linear(part.embed_dim, part.embed_dim),
        )
        self.code_embedding: CodeEmbedding | None = None
        self.code_tokens: CodeTokens | None = None
        if part.conditioner == "adagn":
            self.code_embedding = CodeEmbedding(
                config.latent_dim, config.residual_dim, part.embed_dim, operations
            )
        else:
            self.code_tokens = CodeTokens(
                config.latent_dim, config.residual_dim, part.token_dim, operations
            )

        def stage(in_channels: int, out_channels: int, size: int) -> Stage:
            block = ResBlock(
                in_channels,
                out_channels,
                time_dim=part.embed_dim,
                code_dim=part.embed_dim if part.conditioner == "adagn" else 0,
                dropout=part.dropout,
                operations=operations,
            )
            context_dim = part.token_dim if part.conditioner == "tokens" else 0
            attention = (
                Attention(out_channels, size, context_dim, part.num_heads, operations)
                if size in part.attention_sizes
                else None
            )
            return Stage(block, attention)

        size = config.image_size // config.patch_size
        channels = part.base_channels
        pixels = config.in_channels * config.patch_size**2
        self.stem = operations.Conv2d(pixels, channels, 3, padding=1)
        self.position = nn.Parameter(torch.randn(channels, size, size) * 0.02)
        widths = [part.base_channels * mult for mult in part.channel_mults]
        skips = [channels]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            if level:
                self.down.append(Downsample(channels, operations))
                size //= 2
                skips.append(channels)
            for _ in range(part.num_res_blocks):
                self.down.append(stage(channels, width, size))
                channels = width
                skips.append(channels)
        self.num_skips = len(skips)
        self.middle = nn.ModuleList([stage(channels, channels, size) for _ in range(2)])
        self.up = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for _ in range(part.num_res_blocks + 1):
                self.up.append(stage(channels + skips.pop(), widths[level], size))
                channels = widths[level]
            if level:
                out_channels = widths[level - 1] if part.narrow_upsampling else channels
                self.up.append(Upsample(channels, out_channels, operations))
                channels = out_channels
                size *= 2
        assert not skips, "every skip connection is used exactly once"
        self.passthrough = zeroed(operations.Linear(part.embed_dim, pixels))
        self.norm = GroupNorm(channels, operations)
        self.out = zeroed(operations.Conv2d(channels, pixels, 3, padding=1))

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        z: Tensor,
        residual: Tensor | None = None,
        keep: Tensor | None = None,
        keep_skips: Tensor | None = None,
    ) -> Tensor:
        """Predict noise or velocity.

        Args:
            x_t: noisy images (B, C, S, S).
            t: timesteps (B,) in [0, T).
            z: code (B, N).
            residual: residual code (B, R); None means 0.
            keep: (B,) bool; where False the learned null condition replaces the code.
            keep_skips: (B, num_skips) bool, in training only: where False a skip connection
                carries zeros for that item, so that the decoder has to rely on the code.

        Returns:
            (B, C, S, S), dtype of `x_t`.
        """
        time = self.time(timestep_embedding(t, self.time_channels).to(x_t.dtype))
        code = tokens = None
        if self.code_embedding is not None:
            code = self.code_embedding(z, residual, keep)
        if self.code_tokens is not None:
            tokens = self.code_tokens(z, residual, keep)
        pixels = F.pixel_unshuffle(x_t, self.patch_size) if self.patch_size > 1 else x_t
        h = self.stem(pixels) + self.position.to(pixels)
        skips = [h]
        for layer in self.down:
            h = layer(h, time, code, tokens) if isinstance(layer, Stage) else layer(h)
            skips.append(h)
        if keep_skips is not None:
            masks = keep_skips.to(h.dtype)[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1) each
            skips = [skip * mask for skip, mask in zip(skips, masks, strict=True)]
        for layer in self.middle:
            h = layer(h, time, code, tokens)
        for layer in self.up:
            if isinstance(layer, Stage):
                h = layer(torch.cat([h, skips.pop()], dim=1), time, code, tokens)
            else:
                h = layer(h)
        gain = self.passthrough(F.silu(time))[:, :, None, None]  # (B, pixels, 1, 1)
        h = self.out(F.silu(self.norm(h))) + gain * pixels
        return F.pixel_shuffle(h, self.patch_size) if self.patch_size > 1 else h
