"""What the feedback remembers between steps, and what it makes of that: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...config.feedback import FeedbackConfig
from .gradient import gradient_gain
from .interface import Signals
from .per_dimension import kl_weights
from .per_timestep import last_timesteps
from .usage import used_share

LOSS_DECAY = 0.9


@dataclass(frozen=True)
class FeedbackState:
    """Moving averages; JSON-able through `dataclasses.asdict`.

    Attributes:
        diffusion: the diffusion loss, 0 before the first.
        usage: what the decoder uses of each dimension, (N,) nats; empty before the first.
        kl: the co-pilot's KL per dimension at the same times, (N,) nats.
    """

    diffusion: float = 0.0
    usage: tuple[float, ...] = ()
    kl: tuple[float, ...] = ()

    @property
    def used(self) -> float | None:
        """Share of the co-pilot's nats that the decoder makes use of; None while unknown."""
        return used_share(self.usage, self.kl) if self.usage else None


def observe_loss(state: FeedbackState, diffusion: float) -> FeedbackState:
    """Take the diffusion loss of a step in."""
    decay = LOSS_DECAY if state.diffusion else 0.0
    return replace(state, diffusion=decay * state.diffusion + (1 - decay) * diffusion)


def observe_usage(
    state: FeedbackState, decay: float, usage: Sequence[float], kl: Sequence[float]
) -> FeedbackState:
    """Take a measurement of the usage, and the KL of that moment, in."""

    def average(before: tuple[float, ...], now: Sequence[float]) -> tuple[float, ...]:
        if not before:
            return tuple(now)
        return tuple(decay * a + (1 - decay) * b for a, b in zip(before, now, strict=True))

    return replace(state, usage=average(state.usage, usage), kl=average(state.kl, kl))


def signals(
    state: FeedbackState,
    config: FeedbackConfig,
    *,
    latent_dim: int,
    num_values: int,
    copilot_updates: int,
    progress: float,
    shape: Tensor,
    num_timesteps: int,
) -> Signals:
    """What the next step is told; neutral for the parts that are off or not measured yet.

    Args:
        num_values: D, values of an image.
        progress: of the run, in [0, 1].
        shape: C_t / C, see `per_timestep.last_timesteps`.
    """
    grown = min(1.0, progress / config.warmup) if config.warmup else 1.0
    gain = config.gain * grown
    if "gradient" in config.parts:
        gain *= gradient_gain(state.diffusion, num_values, copilot_updates)
    weights, last = [1.0] * latent_dim, [num_timesteps - 1] * latent_dim
    if "per_dimension" in config.parts and state.usage:
        weights = kl_weights(state.usage, state.kl, config.exponent, config.largest_weight)
    if "per_timestep" in config.parts and state.usage:
        last = last_timesteps(state.kl, shape, num_timesteps)
    return Signals(torch.tensor(gain), torch.tensor(weights), torch.tensor(last))
