"""The control of the gradient feedback: as much gradient from a decoder that does not diffuse."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from comfyui_cldis.model.copilot import Copilot

from ..losses import Average, alone, gaussian_nll
from ..objectives import CopilotCode
from .gradient import scaled_gradient
from .interface import Feedback, Signals


class SecondDecoder(Feedback):
    """A second decoder of the co-pilot's kind, with weights of its own.

    It is trained on every update of the co-pilot; of the shared ones the chosen items pass their
    gradient on, as often and as strongly as `Gradient` would.

    Args:
        copilot: whose decoder is copied; the weights are drawn anew.
        copilot_updates: updates of the co-pilot per step.
    """

    def __init__(self, copilot: Copilot, copilot_updates: int, average: Average = alone) -> None:
        super().__init__()
        self.decoder = torch.nn.ModuleDict(
            {"expand": copy.deepcopy(copilot.expand), "up": copy.deepcopy(copilot.up)}
        )
        for module in self.decoder.modules():
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
        self.factor = float(copilot_updates)
        self.average = average

    def decode(self, z: Tensor) -> Tensor:
        """(B, N) -> mean image (B, C, s, s)."""
        h = self.decoder["expand"](z)
        return self.decoder["up"](h.view(h.shape[0], -1, 4, 4))

    def loss(
        self, code: CopilotCode, images: Tensor, chosen: Tensor, signals: Signals, is_shared: bool
    ) -> Tensor:
        z = code.z.detach()
        if is_shared:
            heard = scaled_gradient(code.z, self.factor * signals.gain)
            z = torch.where(chosen[:, None], heard, z)
        return gaussian_nll(self.decode(z), images, self.average)
