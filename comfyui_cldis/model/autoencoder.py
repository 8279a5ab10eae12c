"""The whole model: semantic encoder, conditional U-Net and co-pilot under one roof."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .copilot import Copilot
from .encoder import SemanticEncoder, SemanticPosterior
from .unet import ConditionalUNet


class DiffusionAutoencoder(nn.Module):
    """Diffusion autoencoder with a beta-VAE co-pilot.

    Attributes:
        encoder: image -> q(z | x).
        unet: (x_t, t, z) -> noise or velocity.
        copilot: the beta-VAE.

    Source: Preechakul et al. 2022 (arXiv:2111.15640); Jin et al. 2024 (arXiv:2402.02346).
    """

    def __init__(self, config: ModelConfig, operations: Any = nn) -> None:
        super().__init__()
        self.config = config
        # drawn first, so that one seed gives one co-pilot whatever stands beside it
        copilot = Copilot(config, operations)
        self.encoder = SemanticEncoder(config, operations)
        self.unet = ConditionalUNet(config, operations)
        self.copilot = copilot

    @property
    def has_copilot(self) -> bool:
        """Whether there is a co-pilot, which previews need: always."""
        return True

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.unet.position.device

    @property
    def dtype(self) -> torch.dtype:
        """Data type the networks compute in."""
        return self.unet.position.dtype

    def encode_semantic(self, x: Tensor) -> SemanticPosterior:
        """Images (B, C, S, S) in [-1, 1], at the model's size -> posterior, float32."""
        return self.encoder(x.to(self.dtype))

    def predict(
        self,
        x_t: Tensor,
        t: Tensor,
        z: Tensor,
        residual: Tensor | None = None,
        keep: Tensor | None = None,
        keep_skips: Tensor | None = None,
    ) -> Tensor:
        """Noise or velocity for (B, C, S, S) at timesteps (B,), float32; see `ConditionalUNet`."""
        dtype = self.dtype
        residual = None if residual is None else residual.to(dtype)
        return self.unet(x_t.to(dtype), t, z.to(dtype), residual, keep, keep_skips).float()
