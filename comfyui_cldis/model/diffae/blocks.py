"""Building blocks of Diff-AE. Their parameters have the names of its authors' code.

Every constructor takes `operations`, a namespace of layer classes (torch.nn by default).
Source: github.com/phizaz/diffae, model/blocks.py (MIT); Dhariwal & Nichol 2021 (arXiv:2105.05233).
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import normalised
from .config import DiffAEConfig


def group_norm(channels: int, operations: Any) -> nn.Module:
    """Normalisation in at most 32 groups."""
    return operations.GroupNorm(min(32, channels), channels)


class Downsample(nn.Module):
    """Halve height and width: a strided convolution, or the mean of four."""

    def __init__(self, channels: int, has_convolution: bool, operations: Any = nn) -> None:
        super().__init__()
        self.op = (
            operations.Conv2d(channels, channels, 3, stride=2, padding=1)
            if has_convolution
            else nn.AvgPool2d(2)
        )

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        return self.op(h)


class ResBlock(nn.Module):
    """Residual block that may change the size.

    With an embedding it is h = [GN(h) * (1 + t_s) + t_b] * (1 + z_s), where t_s and t_b are linear
    in SiLU(time embedding) and z_s is linear in SiLU(code); then SiLU and a convolution. Without
    (in the encoder) its first half is all there is.

    Args:
        time_dim: width of the time embedding; 0: none, nor a code.
        code_dim: width of the code.
        resample: the change of size, on the branch and beside it; it holds no weights.

    Source: Preechakul et al. 2022, Eq. 7; the 1 in front of both scales is in the code alone.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        time_dim: int = 0,
        code_dim: int = 0,
        resample: nn.Module | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.in_layers = nn.ModuleList(
            [
                group_norm(in_channels, operations),
                nn.SiLU(),
                operations.Conv2d(in_channels, out_channels, 3, padding=1),
            ]
        )
        self.is_conditional = bool(time_dim)
        if time_dim:
            self.emb_layers = nn.Sequential(
                nn.SiLU(), operations.Linear(time_dim, 2 * out_channels)
            )
            self.cond_emb_layers = nn.Sequential(
                nn.SiLU(), operations.Linear(code_dim, out_channels)
            )
            self.out_layers = nn.ModuleList(
                [
                    group_norm(out_channels, operations),
                    nn.SiLU(),
                    nn.Identity(),  # dropout, in training alone
                    operations.Conv2d(out_channels, out_channels, 3, padding=1),
                ]
            )
        self.skip_connection = (
            nn.Identity()
            if in_channels == out_channels
            else operations.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, time: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W), embedding (B, E), code (B, N) -> (B, C_out, H', W')."""
        h = F.silu(normalised(self.in_layers[0], x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.in_layers[2](h)
        if self.is_conditional:
            scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, dim=1)
            h = normalised(self.out_layers[0], h) * (1 + scale) + shift
            h = h * (1 + self.cond_emb_layers(code)[:, :, None, None])
            h = self.out_layers[3](F.silu(h))
        return self.skip_connection(x) + h


class Attention(nn.Module):
    """Self-attention of a feature map."""

    def __init__(self, channels: int, config: DiffAEConfig, operations: Any = nn) -> None:
        super().__init__()
        self.num_heads = config.heads(channels)
        self.splits_heads_last = config.splits_heads_last
        self.norm = group_norm(channels, operations)
        self.qkv = operations.Conv1d(channels, 3 * channels, 1)
        self.proj_out = operations.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        b, c, height, width = x.shape
        x = x.flatten(2)  # (B, C, HW)
        qkv = self.qkv(normalised(self.norm, x))
        if self.splits_heads_last:
            qkv = qkv.view(b, 3, self.num_heads, -1, height * width).transpose(1, 2)
        else:
            qkv = qkv.view(b, self.num_heads, 3, -1, height * width)
        q, k, v = qkv.transpose(3, 4).unbind(2)  # (B, heads, HW, C / heads) each
        h = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, c, -1)
        return (x + self.proj_out(h)).view(b, c, height, width)


class Stage(nn.ModuleList):
    """Layers one after the other, of which residual blocks get the time and the code."""

    def forward(self, h: Tensor, time: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W')."""
        for layer in self:
            h = layer(h, time, code) if isinstance(layer, ResBlock) else layer(h)
        return h
