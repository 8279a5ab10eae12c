"""What every kind of feedback takes and gives; `training.step` knows nothing else of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..objectives import CopilotCode


class Signals(NamedTuple):
    """What the run so far says to a step.

    Attributes:
        gain: () factor on the gradient that reaches the co-pilot through the decoder.
        kl_weights: (N,) weights of the co-pilot's KL per dimension.
        last_timesteps: (N,) the noisiest timestep at which the decoder is shown a dimension.
    """

    gain: Tensor
    kl_weights: Tensor
    last_timesteps: Tensor

    def to(self, device: torch.device) -> Signals:
        """The same on a device."""
        return Signals(*(value.to(device) for value in self))


def neutral(latent_dim: int, num_timesteps: int) -> Signals:
    """Gain 1, equal weights, and everything shown: a run without measurements."""
    return Signals(
        gain=torch.ones(()),
        kl_weights=torch.ones(latent_dim),
        last_timesteps=torch.full((latent_dim,), num_timesteps - 1),
    )


class Feedback(nn.Module):
    """The open loop, and the base of all others: nothing reaches the co-pilot.

    Its parameters are trained with the co-pilot's optimizer and are never exported.
    """

    def condition(
        self, z: Tensor, code: CopilotCode, chosen: Tensor, t: Tensor, signals: Signals
    ) -> Tensor:
        """The code (B, N) that the diffusion decoder is given.

        Args:
            z: sample of the semantic encoder, (B, N).
            code: the co-pilot's.
            chosen: (B,) bool, the items that the feedback may use.
            t: (B,) timesteps.
        """
        return z

    def loss(
        self, code: CopilotCode, images: Tensor, chosen: Tensor, signals: Signals, is_shared: bool
    ) -> Tensor:
        """What else is minimised, nats per image: ().

        Args:
            images: what the co-pilot saw, (B, C, s, s).
            is_shared: whether this update trains the diffusion branch too.
        """
        return images.new_zeros(())
