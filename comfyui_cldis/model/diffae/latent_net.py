"""The latent diffusion model of Diff-AE: an MLP that predicts the noise in a noisy code.

Source: Preechakul et al. 2022, section 4.2; github.com/phizaz/diffae, model/latentnet.py (MIT).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..layers import timestep_embedding
from .config import LatentNetConfig

ACTIVATIONS = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "lrelu": lambda: nn.LeakyReLU(0.2),
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Layer(nn.Module):
    """Linear layer, scaled by the time, normalised, activated; the last one is linear alone."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_dim: int,
        config: LatentNetConfig,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        self.linear = operations.Linear(in_channels, out_channels)
        self.bias = config.condition_bias
        self.act: nn.Module = ACTIVATIONS[config.activation]() if time_dim else nn.Identity()
        self.linear_emb = operations.Linear(time_dim, out_channels) if time_dim else None
        has_norm = time_dim and config.has_norm
        self.norm = operations.LayerNorm(out_channels) if has_norm else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, C_in), (B, E) -> (B, C_out)."""
        x = self.linear(x)
        if self.linear_emb is not None:
            x = x * (self.bias + self.linear_emb(self.act(time)))
        return self.act(self.norm(x))


class LatentNet(nn.Module):
    """The whole MLP; some of its layers read the noisy code beside the layer before."""

    def __init__(self, latent_dim: int, config: LatentNetConfig, operations: Any = nn) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels = config.time_channels
        for index in range(config.num_time_layers):
            layers.append(operations.Linear(channels, latent_dim))
            channels = latent_dim
            if index < config.num_time_layers - 1 or config.has_time_activation:
                layers.append(ACTIVATIONS[config.activation]())
        self.time_embed = nn.Sequential(*layers)
        self.layers = nn.ModuleList()
        for index in range(config.num_layers):
            is_last = index == config.num_layers - 1
            width = latent_dim if index == 0 else config.hidden_dim
            self.layers.append(
                Layer(
                    width + (latent_dim if index in config.skip_layers else 0),
                    latent_dim if is_last else config.hidden_dim,
                    0 if is_last else latent_dim,
                    config,
                    operations,
                )
            )
        self.last_act: nn.Module = ACTIVATIONS[config.last_activation]()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noisy codes (B, N), timesteps (B,) -> noise (B, N)."""
        time = self.time_embed(timestep_embedding(t, self.config.time_channels).to(x.dtype))
        h = x
        for index, layer in enumerate(self.layers):
            if index in self.config.skip_layers:
                h = torch.cat([h, x], dim=1)
            h = layer(h, time)
        return self.last_act(h)
