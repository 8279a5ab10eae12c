"""The controls of the gradient feedback: the gradient of a decoder that does not diffuse."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from comfyui_cldis.model import ModelConfig
from comfyui_cldis.model.copilot import CopilotDecoder
from comfyui_cldis.model.unet import ConditionalUNet

from ..losses import Average, alone, gaussian_nll
from ..objectives import CopilotCode
from .gradient import scaled_gradient
from .interface import Feedback, Signals


class PlainDecoder(CopilotDecoder):
    """A decoder of the co-pilot's kind, with weights of its own."""

    forward = CopilotDecoder.decode


class OnePassUNet(nn.Module):
    """A U-Net of the diffusion decoder's kind that draws from the code alone, in one pass.

    It reads the code as the diffusion decoder does, and sees no image: its input is 0, its timestep
    the noisiest.

    Args:
        last_timestep: T - 1.
    """

    def __init__(self, config: ModelConfig, last_timestep: int) -> None:
        super().__init__()
        size = config.copilot.image_size
        self.unet = ConditionalUNet(replace(config, image_size=size, residual_dim=0))
        self.shape = config.in_channels, size, size
        self.last_timestep = last_timestep

    def forward(self, z: Tensor) -> Tensor:
        """(B, N) -> mean image (B, C, s, s)."""
        t = torch.full((len(z),), self.last_timestep, device=z.device)
        keep = torch.ones_like(t, dtype=torch.bool)
        return self.unet(z.new_zeros(len(z), *self.shape), t, z, keep=keep)


class SecondDecoder(Feedback):
    """A second decoder, whose gradient on the chosen items reaches the co-pilot in shared updates.

    So it does as often as that of `Gradient` would, and 1 / (1 - code_dropout) as strongly, for no
    code is dropped here.

    Args:
        decoder: (B, N) -> mean image (B, C, s, s) of the size that the co-pilot sees.
        copilot_updates: updates of the co-pilot per step.
        is_always_trained: by all of these updates; else by the shared ones alone.
    """

    def __init__(
        self,
        decoder: nn.Module,
        copilot_updates: int,
        average: Average = alone,
        *,
        is_always_trained: bool = True,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.factor = float(copilot_updates)
        self.average = average
        self.is_always_trained = is_always_trained

    def loss(
        self, code: CopilotCode, images: Tensor, chosen: Tensor, signals: Signals, is_shared: bool
    ) -> Tensor:
        if not (is_shared or self.is_always_trained):
            return images.new_zeros(())
        z = code.z.detach()
        if is_shared:
            heard = scaled_gradient(code.z, self.factor * signals.gain)
            z = torch.where(chosen[:, None], heard, z)
        return gaussian_nll(self.decoder(z), images, self.average)
