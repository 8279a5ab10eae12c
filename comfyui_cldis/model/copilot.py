"""The beta-VAE co-pilot: a small convolutional VAE that finds disentangled but blurry codes.

Its decoder doubles as the instant preview of an edit.
Source: Higgins et al. 2017 (beta-VAE); Burgess et al. 2018 (arXiv:1804.03599).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .config import WithCopilot
from .token_decoder import TokenDecoder


class CopilotPosterior(NamedTuple):
    """Parameters of the co-pilot's q(z | x): `mu`, `logvar`, both (B, N) float32."""

    mu: Tensor
    logvar: Tensor


class CopilotDecoder(nn.Module):
    """The half of a co-pilot that draws: strided 4 x 4 convolutions from 4 x 4 to `image_size`."""

    def __init__(self, config: WithCopilot, operations: Any = nn) -> None:
        super().__init__()
        self._add_decoder(config, operations)

    def _add_decoder(self, config: WithCopilot, operations: Any) -> None:
        part = config.copilot
        *inner, channels = part.widths
        widths = [*reversed(inner), config.in_channels]
        self.from_tokens: TokenDecoder | None = None
        if part.conditioner == "tokens":
            self.from_tokens = TokenDecoder(channels, widths, config.latent_dim, operations)
            return
        self.expand = nn.Sequential(
            operations.Linear(config.latent_dim, part.hidden_dim),
            nn.SiLU(),
            operations.Linear(part.hidden_dim, channels * 16),
            nn.SiLU(),
        )
        up: list[nn.Module] = []
        for width in widths:
            up += [operations.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.SiLU()]
            channels = width
        self.up = nn.Sequential(*up[:-1])

    def decode(self, z: Tensor) -> Tensor:
        """(B, N) -> mean image (B, C, s, s), about [-1, 1], not clipped."""
        if self.from_tokens is not None:
            return self.from_tokens(z)
        h = self.expand(z)
        return self.up(h.view(h.shape[0], -1, 4, 4))  # (B, 16 C) -> (B, C, 4, 4)


class Copilot(CopilotDecoder):
    """Encoder and decoder of strided 4 x 4 convolutions between `image_size` and 4 x 4."""

    def __init__(self, config: WithCopilot, operations: Any = nn) -> None:
        nn.Module.__init__(self)  # the first weights of the encoder are drawn before the decoder's
        part = config.copilot
        self.image_size = part.image_size
        down: list[nn.Module] = []
        channels = config.in_channels
        for width in part.widths:
            down += [operations.Conv2d(channels, width, 4, stride=2, padding=1), nn.SiLU()]
            channels = width
        self.down = nn.Sequential(*down)
        self.hidden = operations.Linear(channels * 16, part.hidden_dim)
        self.mu = operations.Linear(part.hidden_dim, config.latent_dim)
        self.logvar = operations.Linear(part.hidden_dim, config.latent_dim)
        self._add_decoder(config, operations)

    def resize(self, x: Tensor) -> Tensor:
        """Bring images (B, C, S, S) to the co-pilot's own size by area averaging."""
        if x.shape[-1] == self.image_size:
            return x
        return F.interpolate(x, size=(self.image_size, self.image_size), mode="area")

    def encode(self, x: Tensor) -> CopilotPosterior:
        """(B, C, s, s) at the co-pilot's size, in [-1, 1] -> posterior parameters."""
        h = F.silu(self.hidden(self.down(x).flatten(1)))
        return CopilotPosterior(self.mu(h).float(), self.logvar(h).float().clamp(-10.0, 4.0))
