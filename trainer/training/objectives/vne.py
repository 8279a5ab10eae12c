"""Von Neumann entropy of the codes, a regulariser that goes with any objective.

Source: Kim et al. 2023 (CVPR, arXiv:2304.01434), section 3. Raising it spreads the codes over
more directions and drives duplicate dimensions apart; it does not align factors with axes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .interface import CopilotCode, Objective, ObjectiveDraws

SMALLEST_EIGENVALUE = 1e-8
SMALLEST_NORM = 1e-6


def von_neumann_entropy(codes: Tensor) -> Tensor:
    """S = -sum lambda ln lambda of (1/B) sum_b h_b h_b^T, rows normalised: (B, N) -> (), nats.

    From 0 (all codes on one line) to ln min(B, N). Eigenvalues below 1e-8 count as 1e-8, where
    the slope of lambda ln lambda is still finite.
    """
    h = F.normalize(codes, dim=1, eps=SMALLEST_NORM)
    eigenvalues = torch.linalg.eigvalsh(h.T @ h / h.shape[0])
    return torch.special.entr(eigenvalues.clamp(min=SMALLEST_EIGENVALUE)).sum()


class WithEntropy(Objective):
    """Another objective with -weight * S(mu) in its penalty.

    The means are used, not the samples: the noise of dead dimensions is isotropic and would
    pass for entropy. A negative weight lowers the entropy, as in the paper.
    """

    def __init__(self, objective: Objective, weight: float) -> None:
        super().__init__()
        self.objective = objective
        self.weight = weight
        self.smallest_batch = max(2, objective.smallest_batch)
        self.copilot_weight_decay = objective.copilot_weight_decay

    def mean_code(self, mu: Tensor) -> Tensor:
        return self.objective.mean_code(mu)

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        code = self.objective.code(mu, logvar, draws)
        return code._replace(penalty=code.penalty - self.weight * von_neumann_entropy(code.mu))
