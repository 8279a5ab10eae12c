"""Semantic encoder E_sem: image -> Gaussian over N scalars, with an optional residual code."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .layers import Downsample, GroupNorm, ResBlock

LOGVAR_MINIMUM, LOGVAR_MAXIMUM = -10.0, 4.0


class SemanticPosterior(NamedTuple):
    """Parameters of q(z | x): `mu` (B, N), `logvar` (B, N) in [-10, 4]; `residual` (B, R) or None.

    The code at inference is `mu`.
    """

    mu: Tensor
    logvar: Tensor
    residual: Tensor | None

    def sample(self, noise: Tensor) -> Tensor:
        """z ~ q(z | x) from standard normal noise, both (B, N)."""
        return self.mu + (0.5 * self.logvar).exp() * noise


class SemanticEncoder(nn.Module):
    """Convolutional half U-Net with group normalisation and a Gaussian head.

    The head reads the flattened last feature map, not its average: where something stands in the
    image is one of the factors to be found.

    Source: Preechakul et al. 2022, section 3.2 (arXiv:2111.15640); Gaussian head: ours.
    """

    def __init__(self, config: ModelConfig, operations: Any = nn) -> None:
        super().__init__()
        part = config.encoder
        self.patch_size = config.patch_size
        channels = part.base_channels
        self.stem = operations.Conv2d(
            config.in_channels * config.patch_size**2, channels, 3, padding=1
        )
        layers: list[nn.Module] = []
        for level, mult in enumerate(part.channel_mults):
            if level:
                layers.append(Downsample(channels, operations))
            for _ in range(part.num_res_blocks):
                layers.append(ResBlock(channels, part.base_channels * mult, operations=operations))
                channels = part.base_channels * mult
        self.layers = nn.ModuleList(layers)
        self.norm = GroupNorm(channels, operations)
        last = config.image_size // config.patch_size // 2 ** (len(part.channel_mults) - 1)
        self.reduce = operations.Conv2d(channels, 64, 1)
        self.hidden = operations.Linear(64 * last * last, part.hidden_dim)
        self.mu = operations.Linear(part.hidden_dim, config.latent_dim)
        self.logvar = operations.Linear(part.hidden_dim, config.latent_dim)
        self.residual = (
            operations.Linear(part.hidden_dim, config.residual_dim) if config.residual_dim else None
        )

    def forward(self, x: Tensor) -> SemanticPosterior:
        """(B, C, S, S) in [-1, 1] -> posterior parameters, float32."""
        h = F.pixel_unshuffle(x, self.patch_size) if self.patch_size > 1 else x
        h = self.stem(h)
        for layer in self.layers:
            h = layer(h)
        h = self.reduce(F.silu(self.norm(h)))
        h = F.silu(self.hidden(h.flatten(1)))  # (B, 64, s, s) -> (B, hidden)
        logvar = self.logvar(h).float().clamp(LOGVAR_MINIMUM, LOGVAR_MAXIMUM)
        residual = self.residual(h).float() if self.residual is not None else None
        return SemanticPosterior(self.mu(h).float(), logvar, residual)
