"""What the feedback remembers between steps, and what it makes of that: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...config.settings import TrainConfig
from .gradient import gradient_gain
from .interface import Signals, neutral
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


def signals(state: FeedbackState, config: TrainConfig, progress: float, shape: Tensor) -> Signals:
    """What the next step is told; neutral for the parts that are off or not measured yet.

    Args:
        progress: of the run, in [0, 1].
        shape: C_t / C, see `per_timestep.last_timesteps`.
    """
    feedback, model = config.feedback, config.model
    told = neutral(model.latent_dim, config.schedule.num_train_steps)
    gain = feedback.gain * (min(1.0, progress / feedback.warmup) if feedback.warmup else 1.0)
    if "gradient" in feedback.parts:
        num_values = model.in_channels * model.image_size**2
        gain *= gradient_gain(state.diffusion, num_values, config.loop.copilot_updates)
    told = told._replace(gain=torch.tensor(gain))
    if not state.usage:
        return told
    if "per_dimension" in feedback.parts:
        found = kl_weights(state.usage, state.kl, feedback.exponent, feedback.largest_weight)
        told = told._replace(kl_weights=torch.tensor(found))
    if "per_timestep" in feedback.parts:
        last = last_timesteps(state.kl, shape, config.schedule.num_train_steps)
        told = told._replace(last_timesteps=torch.tensor(last))
    return told
