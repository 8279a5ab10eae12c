"""Coarse to fine: gradient feedback in which weak dimensions are shown at clean timesteps only.

The dimensions are ordered by what they store. The strongest is shown at every timestep; the others
join from noisy to clean, so that the KL shown at t stays below C_t, the shape of the reverse
posterior's KL (`controller.posterior_kl_shape`) up to C. A hidden dimension is at its prior mean,
0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..objectives import CopilotCode
from .gradient import Gradient
from .interface import Signals


def last_timesteps(kl: Sequence[float], shape: Tensor, num_timesteps: int) -> list[int]:
    """The noisiest timestep at which each dimension is shown, strongest first: always T - 1.

    Args:
        kl: of the co-pilot per dimension, (N,) nats; all 0 while it is not known.
        shape: C_t / C from the noisiest step to the cleanest, (T - 1,), rising from 0 to 1.
        num_timesteps: T.
    """
    last = [num_timesteps - 1] * len(kl)
    total = sum(kl)
    if total <= 0:
        return last
    shown = 0.0
    for order, index in enumerate(sorted(range(len(kl)), key=lambda each: -kl[each])):
        shown += kl[index]
        if order:
            share = min(shown / total, 1.0)
            begin = int(torch.searchsorted(shape, torch.tensor(share, dtype=shape.dtype) - 1e-9))
            last[index] = max(0, num_timesteps - 1 - begin)
    return last


class PerTimestep(Gradient):
    """As `Gradient`, and the chosen items see a dimension only up to its last timestep."""

    def condition(
        self, z: Tensor, code: CopilotCode, chosen: Tensor, t: Tensor, signals: Signals
    ) -> Tensor:
        given = super().condition(z, code, chosen, t, signals)
        is_hidden = chosen[:, None] & (t[:, None] > signals.last_timesteps)
        return given.masked_fill(is_hidden, 0.0)
