"""A whole Diff-AE under one roof, with the interface of `model.autoencoder`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..encoder import LOGVAR_MINIMUM, SemanticPosterior
from .config import DiffAEConfig
from .encoder import Encoder
from .latent_net import LatentNet
from .unet import DiffAEUNet


class DiffAE(nn.Module):
    """Diffusion autoencoder as published; it has no co-pilot, and its code no residual part.

    Attributes:
        encoder: image -> z.
        unet: (x_t, t, z) -> noise.
        latent_net: the latent diffusion model, if there is one.

    Source: Preechakul et al. 2022 (arXiv:2111.15640).
    """

    def __init__(self, config: DiffAEConfig, operations: Any = nn) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, operations)
        self.unet = DiffAEUNet(config, operations)
        self.latent_net = (
            None
            if config.latent_net is None
            else LatentNet(config.latent_dim, config.latent_net, operations)
        )

    @property
    def has_copilot(self) -> bool:
        """Whether there is a co-pilot, which previews need: never."""
        return False

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Data type the networks compute in."""
        return next(self.unet.parameters()).dtype

    def encode_semantic(self, x: Tensor) -> SemanticPosterior:
        """Images (B, C, S, S) in [-1, 1], at the model's size -> the code, float32, as a posterior
        of the least variance: the encoder is deterministic."""
        mu = self.encoder(x.to(self.dtype)).float()
        return SemanticPosterior(mu, torch.full_like(mu, LOGVAR_MINIMUM), None)

    def predict(self, x_t: Tensor, t: Tensor, z: Tensor, residual: Tensor | None = None) -> Tensor:
        """Noise for (B, C, S, S) at timesteps (B,), float32.

        Raises: ValueError for a residual code, which this model does not take.
        """
        if residual is not None:
            raise ValueError(
                "The latent has a residual code and this model takes none. Encode and decode with "
                "the same model."
            )
        return self.unet(x_t.to(self.dtype), t, z.to(self.dtype)).float()
