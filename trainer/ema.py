"""Exponential moving average of the weights, with warm-up."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class WeightAverage(Generic[M]):
    """Average of a module's parameters; `module` is a frozen copy that holds it."""

    def __init__(self, module: M, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.module: M = copy.deepcopy(module)
        self.module.requires_grad_(False).train(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """average <- d * average + (1 - d) * weights, d = min(decay, (1 + n) / (10 + n))."""
        self.num_updates += 1
        n = self.num_updates
        decay = min(self.decay, (1 + n) / (10 + n))
        for average, weight in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for average, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(buffer)
