"""The plain objective: a Gaussian code, no penalty.

With the bottlenecks of the controller it is the beta-VAE of Higgins et al. 2017 ("constant") and
of Burgess et al. 2018 (arXiv:1804.03599; "distance"), or follows C ("controller").
"""

from __future__ import annotations

from torch import Tensor

from ..losses import gaussian_kl
from .interface import CopilotCode, Objective, ObjectiveDraws


def gaussian_code(mu: Tensor, logvar: Tensor, noise: Tensor) -> CopilotCode:
    """Reparametrised sample of N(mu, exp(logvar)) and its KL to N(0, I); no penalties.

    Source: Kingma & Welling 2014 (arXiv:1312.6114), section 2.4 and appendix B.
    """
    z = mu + (0.5 * logvar).exp() * noise
    nothing = mu.new_zeros(())
    return CopilotCode(mu, logvar, z, gaussian_kl(mu, logvar), nothing, nothing)


class Plain(Objective):
    """Gaussian code without a penalty."""

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        return gaussian_code(mu, logvar, draws.noise)
