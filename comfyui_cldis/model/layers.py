"""Building blocks shared by the encoder and the U-Net: normalisation, residual block, resampling.

Every constructor takes `operations`, a namespace with Conv2d, Linear and GroupNorm (torch.nn by
default), so that a host may supply layers of its own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def normalised(norm: Any, h: Tensor) -> Tensor:
    """`h` (B, C, ...) through a GroupNorm layer, statistics in float32 whatever its dtype."""
    if h.dtype == torch.float32 and norm.weight.dtype == torch.float32:
        return norm(h)
    weight, bias = norm.weight.to(h.device).float(), norm.bias.to(h.device).float()
    return F.group_norm(h.float(), norm.num_groups, weight, bias, norm.eps).to(h.dtype)


class GroupNorm(nn.Module):
    """Group normalisation whose statistics are computed in float32 whatever the input's dtype."""

    def __init__(self, channels: int, operations: Any = nn) -> None:
        super().__init__()
        self.norm = operations.GroupNorm(math.gcd(channels, 32) if channels >= 32 else 8, channels)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), same dtype."""
        return normalised(self.norm, h)


def zeroed(module: nn.Module) -> nn.Module:
    """Set all parameters of `module` to zero and return it (last layer of a residual branch)."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def timestep_embedding(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoidal embedding of timesteps in [0, T), float32.

    Source: Vaswani et al. 2017, section 3.5; as used in Ho et al. 2020 (arXiv:2006.11239).
    """
    half = dim // 2
    rates = torch.exp(
        -math.log(max_period) * torch.arange(half, device=t.device, dtype=torch.float32) / half
    )
    angles = t.float()[:, None] * rates[None]  # (B, half)
    embedding = torch.cat([angles.cos(), angles.sin()], dim=1)  # (B, 2 * half)
    return F.pad(embedding, (0, dim % 2))


class Modulation(nn.Module):
    """Scale and shift of a normalised feature map from an embedding; starts as the identity."""

    def __init__(self, embed_dim: int, channels: int, operations: Any = nn) -> None:
        super().__init__()
        self.linear = zeroed(operations.Linear(embed_dim, 2 * channels))

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) -> h * (1 + scale) + shift."""
        scale, shift = self.linear(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        return h * (1 + scale) + shift


class ResBlock(nn.Module):
    """Residual block; the second normalisation is modulated by time, then by the code.

    Order of the conditions as in Diff-AE: h = [GN(h) * (1 + t_s) + t_b] * (1 + z_s) + z_b, then
    SiLU, dropout and a zero-initialised convolution. Deviations: the code shifts too (z_b), and
    the time scale is written as 1 + t_s so that it starts at the identity.

    Source: Preechakul et al. 2022, Eq. 7 (arXiv:2111.15640).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        time_dim: int = 0,
        code_dim: int = 0,
        dropout: float = 0.0,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        self.norm_in = GroupNorm(in_channels, operations)
        self.conv_in = operations.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm_out = GroupNorm(out_channels, operations)
        self.time = Modulation(time_dim, out_channels, operations) if time_dim else None
        self.code = Modulation(code_dim, out_channels, operations) if code_dim else None
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(operations.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = (
            nn.Identity()
            if in_channels == out_channels
            else operations.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, time: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        h = self.conv_in(F.silu(self.norm_in(x)))
        h = self.norm_out(h)
        if self.time is not None and time is not None:
            h = self.time(h, time)
        if self.code is not None and code is not None:
            h = self.code(h, code)
        h = self.conv_out(self.dropout(F.silu(h)))
        return self.skip(x) + h


class Downsample(nn.Module):
    """Halve height and width with a strided convolution."""

    def __init__(self, channels: int, operations: Any = nn) -> None:
        super().__init__()
        self.conv = operations.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        return self.conv(h)


class Upsample(nn.Module):
    """Double height and width: nearest neighbour, then a convolution."""

    def __init__(self, in_channels: int, out_channels: int, operations: Any = nn) -> None:
        super().__init__()
        self.conv = operations.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, 2H, 2W)."""
        return self.conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))
