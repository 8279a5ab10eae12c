"""The beta-VAE co-pilot: a small convolutional VAE that finds disentangled but blurry codes.

Its decoder doubles as the instant preview of an edit.
Source: Higgins et al. 2017 (beta-VAE); Burgess et al. 2018 (arXiv:1804.03599).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .config import WithCopilot


class CopilotPosterior(NamedTuple):
    """Parameters of the co-pilot's q(z | x): `mu`, `logvar`, both (B, N) float32."""

    mu: Tensor
    logvar: Tensor


class Copilot(nn.Module):
    """Encoder and decoder of strided 4 x 4 convolutions between `image_size` and 4 x 4."""

    def __init__(self, config: WithCopilot, operations: Any = nn) -> None:
        super().__init__()
        part = config.copilot
        self.image_size = part.image_size
        num_levels = int(math.log2(part.image_size // 4))
        widths = [part.base_channels * min(2**level, 4) for level in range(num_levels)]
        down: list[nn.Module] = []
        channels = config.in_channels
        for width in widths:
            down += [operations.Conv2d(channels, width, 4, stride=2, padding=1), nn.SiLU()]
            channels = width
        self.down = nn.Sequential(*down)
        self.hidden = operations.Linear(channels * 16, part.hidden_dim)
        self.mu = operations.Linear(part.hidden_dim, config.latent_dim)
        self.logvar = operations.Linear(part.hidden_dim, config.latent_dim)
        self.expand = nn.Sequential(
            operations.Linear(config.latent_dim, part.hidden_dim),
            nn.SiLU(),
            operations.Linear(part.hidden_dim, channels * 16),
            nn.SiLU(),
        )
        up: list[nn.Module] = []
        for width in reversed([config.in_channels, *widths[:-1]]):
            up += [operations.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.SiLU()]
            channels = width
        self.up = nn.Sequential(*up[:-1])

    def resize(self, x: Tensor) -> Tensor:
        """Bring images (B, C, S, S) to the co-pilot's own size by area averaging."""
        if x.shape[-1] == self.image_size:
            return x
        return F.interpolate(x, size=(self.image_size, self.image_size), mode="area")

    def encode(self, x: Tensor) -> CopilotPosterior:
        """(B, C, s, s) at the co-pilot's size, in [-1, 1] -> posterior parameters."""
        h = F.silu(self.hidden(self.down(x).flatten(1)))
        return CopilotPosterior(self.mu(h).float(), self.logvar(h).float().clamp(-10.0, 4.0))

    def decode(self, z: Tensor) -> Tensor:
        """(B, N) -> mean image (B, C, s, s), about [-1, 1], not clipped."""
        h = self.expand(z)
        return self.up(h.view(h.shape[0], -1, 4, 4))  # (B, 16 C) -> (B, C, 4, 4)
