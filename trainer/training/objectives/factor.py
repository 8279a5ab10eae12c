"""FactorVAE: a penalty on the total correlation, estimated by a discriminator.

Source: Kim & Mnih 2018 (arXiv:1802.05983), Eq. 2 and 3, algorithm 2.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from .interface import CopilotCode, Objective, ObjectiveDraws
from .plain import gaussian_code

SLOPE = 0.2


def permute_columns(z: Tensor, uniform: Tensor) -> Tensor:
    """Permute every column of z (B, N) over the batch by the order of `uniform` (B, N).

    The result has the marginals of z and independent dimensions (algorithm 1).
    """
    return z.gather(0, uniform.argsort(0))


def discriminator(latent_dim: int, width: int, num_layers: int) -> nn.Sequential:
    """MLP (B, N) -> (B, 1): the logit of "z comes from q(z)" against its permuted copy."""
    layers: list[nn.Module] = []
    features = latent_dim
    for _ in range(num_layers):
        layers += [nn.Linear(features, width), nn.LeakyReLU(SLOPE)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, 1))


class Factor(Objective):
    """Plain KL + weight * E[ln D(z) / (1 - D(z))], and the discriminator's own cross-entropy.

    The first is in `kl_penalty`, the second in `penalty`, and one backward pass trains everything:
    the first reads the discriminator's parameters as constants, the second reads z as a constant.
    """

    smallest_batch = 2

    def __init__(self, weight: float, latent_dim: int, width: int, num_layers: int) -> None:
        super().__init__()
        self.weight = weight
        self.discriminator = discriminator(latent_dim, width, num_layers)

    def total_correlation(self, z: Tensor) -> Tensor:
        """Density-ratio estimate (Eq. 3) in nats, (B, N) -> (); trains z only."""
        constants = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        return functional_call(self.discriminator, constants, (z,)).mean()

    def cross_entropy(self, z: Tensor, uniform: Tensor) -> Tensor:
        """Mean cross-entropy of the two classes in nats (ln 2 at chance); trains D only."""
        z = z.detach()
        real = F.softplus(-self.discriminator(z)).mean()
        permuted = F.softplus(self.discriminator(permute_columns(z, uniform))).mean()
        return 0.5 * (real + permuted)

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        code = gaussian_code(mu, logvar, draws.noise)
        correlation = self.weight * self.total_correlation(code.z)
        return code._replace(
            penalty=self.cross_entropy(code.z, draws.uniform), kl_penalty=correlation
        )
