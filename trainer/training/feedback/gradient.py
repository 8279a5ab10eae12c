"""Gradient feedback: some items decode the co-pilot's own sample, and it learns from their loss.

With the likelihood of a Gaussian with its best sigma (Rybkin et al. 2021, arXiv:2006.13202) the
diffusion loss L_v, a mean over D values, costs R = D / 2 ln L_v nats per image, whose gradient is
D / (2 L_v) that of L_v. L_v is a mean over all items; a share of them decodes the co-pilot's
sample, and some of these get the null condition instead. So the co-pilot hears, beside its own
reconstruction and the bottleneck, share * (1 - code_dropout) of that gradient in expectation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..objectives import CopilotCode
from .interface import Feedback, Signals

SMALLEST_LOSS = 1e-4


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor, None


def scaled_gradient(value: Tensor, factor: Tensor) -> Tensor:
    """The same value; its gradient is multiplied by `factor` ()."""
    return _ScaledGradient.apply(value, factor)


def gradient_gain(diffusion: float, num_values: int, copilot_updates: int) -> float:
    """Factor that turns the gradient of L_v into that of R, for one of several updates.

    Args:
        diffusion: L_v, weighted mean squared error; 0 while it is not known, which gives 0.
        num_values: D, values of an image.
        copilot_updates: updates of the co-pilot per step, of which one hears the decoder.
    """
    if diffusion <= 0:
        return 0.0
    return copilot_updates * num_values / (2 * max(diffusion, SMALLEST_LOSS))


class Gradient(Feedback):
    """The chosen items are decoded from the co-pilot's sample, the rest from the encoder's."""

    def condition(
        self, z: Tensor, code: CopilotCode, chosen: Tensor, t: Tensor, signals: Signals
    ) -> Tensor:
        return torch.where(chosen[:, None], scaled_gradient(code.z, signals.gain), z)
