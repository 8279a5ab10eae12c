"""A denoiser: whatever takes (x_t (B, C, H, W), t (B,) long) and gives what a schedule predicts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .schedule import NoiseSchedule

Denoiser = Callable[[Tensor, Tensor], Tensor]


def predict(
    denoiser: Denoiser, x: Tensor, timestep: int, schedule: NoiseSchedule
) -> tuple[Tensor, Tensor]:
    """The prediction for x (B, C, H, W), all items at one timestep, clipped as the schedule says.

    Returns:
        The prediction (B, C, H, W), and the timestep as the denoiser was given it (B,).
    """
    t = torch.full((len(x),), timestep, dtype=torch.long, device=x.device)
    return schedule.clipped(x, denoiser(x, t), t), t
