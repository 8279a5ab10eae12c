"""What every co-pilot objective takes and gives; `training.step` knows nothing else of them.

The co-pilot's loss is reconstruction + bottleneck(KL, C) + penalty + kl_weight * kl_penalty. How
the KL is held at the capacity C is the controller's business; an objective says how a sample is
drawn from the encoder's outputs, what its KL is, and what else it wants paid (docs/objectives.md).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class CopilotCode(NamedTuple):
    """The co-pilot's code of a batch.

    Attributes:
        mu: (B, N) mean of q(z_i | x): what is distilled, and the code for statistics.
        logvar: (B, N) its log-variance.
        z: (B, N) the differentiable sample that is decoded.
        kl: (N,) nats per dimension, batch mean. Dimensions whose information the objective
            holds itself carry no gradient here (`joint`, `qlae`).
        penalty: () nats per image, already weighted; 0 for the plain objective.
        kl_penalty: () what a paper weighs against a KL of weight 1, nats per image; it is paid at
            the weight that the KL has at the time, or the two would drift apart.
    """

    mu: Tensor
    logvar: Tensor
    z: Tensor
    kl: Tensor
    penalty: Tensor
    kl_penalty: Tensor


class ObjectiveDraws(NamedTuple):
    """Everything random in an objective; it comes from outside so that a resumed run repeats it.

    Attributes:
        noise: (B, N) standard normal.
        uniform: (B, N) uniform in [0, 1), for permutations and Gumbel noise.
    """

    noise: Tensor
    uniform: Tensor


class Objective(nn.Module):
    """Base of the objectives: checks the shapes and computes in float32.

    Its parameters (a discriminator, a codebook) are trained with the co-pilot's optimizer and
    live in the training state; they are never exported.

    Attributes:
        copilot_weight_decay: the decoupled (AdamW) decay this objective asks for on the weights
            of the co-pilot, not on its biases nor on the objective's own parameters.
        interaction_weight: what the co-pilot's decoder pays for interactions between dimensions,
            see `training.interaction`; the training step adds it to the penalty.
        smallest_batch: fewest images for which the formula means anything.
    """

    copilot_weight_decay: float = 0.0
    interaction_weight: float = 0.0
    smallest_batch: int = 1

    def mean_code(self, mu: Tensor) -> Tensor:
        """The code for statistics, `CopilotCode.mu`, of the encoder's mu, both (B, N)."""
        return mu

    def forward(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        """Encoder outputs mu, logvar (B, N) -> the code, float32.

        Raises:
            ValueError: draws of another shape, or a batch too small for the formula.
        """
        for name, value in draws._asdict().items():
            if value.shape != mu.shape:
                raise ValueError(
                    f"draws.{name} has shape {tuple(value.shape)} and the code "
                    f"{tuple(mu.shape)}. Draw one number per image and dimension."
                )
        if mu.shape[0] < self.smallest_batch:
            raise ValueError(
                f"The batch has {mu.shape[0]} images. This objective compares images: use a "
                f"batch, and parts of it, of {self.smallest_batch} or more."
            )
        with torch.autocast(mu.device.type, enabled=False):
            return self.code(mu.float(), logvar.float(), draws)

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        """The objective itself: float32 mu, logvar (B, N) -> the code."""
        raise NotImplementedError
