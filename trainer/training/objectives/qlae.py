"""QLAE: every dimension is rounded to the nearest of a few learned values.

Source: Hsu et al. 2023 (arXiv:2305.18378), section 3, and the authors' code for the settings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .interface import CopilotCode, Objective, ObjectiveDraws

HALF_RANGE = 0.5
VARIANCE_FLOOR = 1e-6


class QLAE(Objective):
    """One codebook of `num_values` scalars per dimension, from -0.5 to 0.5 at the start.

    z is the nearest value; logvar of the encoder is not used. The gradient of z goes straight
    through to mu, but only up to half a step outside the codebook; further out mu feels the
    penalty alone. Without that limit (as in the paper) the steep likelihood with optimal sigma
    drives mu ever further out (docs/objectives.md).

    penalty = weight * (mean (sg[mu] - value)^2 + mean (mu - sg[value])^2), means over
    images and dimensions; only the first part trains the codebook. There is no prior and so no
    KL: `kl` holds the entropy of the values used in the batch, at most ln(num_values) per
    dimension, as a number without gradient, on which a bottleneck has no effect. logvar
    describes rounding: the variance step^2 / 12 of a uniform error, with the mean step between
    the values of a dimension.

    The paper needs strong regularisation besides: AdamW with a weight decay of 0.1 on the
    weights of encoder and decoder, none on biases and codebook. That is the optimizer's to set,
    from `copilot_weight_decay`.
    """

    def __init__(self, weight: float, latent_dim: int, num_values: int) -> None:
        super().__init__()
        self.weight = weight
        values = torch.linspace(-HALF_RANGE, HALF_RANGE, num_values)
        self.values = nn.Parameter(values.repeat(latent_dim, 1))  # (N, V)

    def mean_code(self, mu: Tensor) -> Tensor:
        return self._value(self._index(mu))

    def _index(self, mu: Tensor) -> Tensor:
        """Which value of its dimension is nearest, (B, N)."""
        return (mu.detach()[:, :, None] - self.values.detach()).abs().argmin(2)

    def _value(self, index: Tensor) -> Tensor:
        """The values (B, N) that an index (B, N) names."""
        return self.values.gather(1, index.T).T

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        num_values = self.values.shape[1]
        index = self._index(mu)
        value = self._value(index)
        lowest, highest = self.values.detach().aminmax(dim=1)  # (N,)
        step = (highest - lowest) / (num_values - 1)
        reach = mu.clamp(lowest - step / 2, highest + step / 2)  # no gradient outside
        z = reach + (value - reach).detach()
        quantise = (mu.detach() - value).square().mean()
        commit = (mu - value.detach()).square().mean()
        used = F.one_hot(index, num_values).to(mu.dtype).mean(0)  # (N, V)
        variance = (step.square() / 12).clamp(min=VARIANCE_FLOOR)
        return CopilotCode(
            mu=z,
            logvar=variance.log().expand_as(mu),
            z=z,
            kl=torch.special.entr(used).sum(1),
            penalty=self.weight * (quantise + commit),
            kl_penalty=mu.new_zeros(()),
        )
