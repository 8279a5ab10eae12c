"""DIP-VAE I and II: penalties on the covariance of the code.

Source: Kumar et al. 2018 (arXiv:1711.00848), Eq. 6 (I) and 7 (II).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .interface import CopilotCode, Objective, ObjectiveDraws
from .plain import gaussian_code


def mean_covariance(mu: Tensor) -> Tensor:
    """Cov[mu(x)] over the batch, (B, N) -> (N, N), divided by B."""
    centred = mu - mu.mean(0)
    return centred.T @ centred / mu.shape[0]


def identity_penalty(covariance: Tensor, off_diagonal: float, diagonal: float) -> Tensor:
    """off_diagonal * sum_{i != j} C_ij^2 + diagonal * sum_i (C_ii - 1)^2: (N, N) -> ()."""
    variance = covariance.diagonal()
    outside = covariance - torch.diag(variance)
    return off_diagonal * outside.square().sum() + diagonal * (variance - 1).square().sum()


class DIP(Objective):
    """Plain KL + the distance of a covariance from the identity.

    Args:
        weight: lambda_od, of the entries off the diagonal.
        diagonal_weight: lambda_d, of the diagonal.
        sampled: False for DIP-VAE-I, Cov[mu(x)]; True for DIP-VAE-II, the covariance of z by the
            law of total covariance, Cov[mu(x)] + E[diag(exp(logvar))].
    """

    smallest_batch = 2

    def __init__(self, weight: float, diagonal_weight: float, sampled: bool) -> None:
        super().__init__()
        self.weight = weight
        self.diagonal_weight = diagonal_weight
        self.sampled = sampled

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        covariance = mean_covariance(mu)
        if self.sampled:
            covariance = covariance + torch.diag(logvar.exp().mean(0))
        penalty = identity_penalty(covariance, self.weight, self.diagonal_weight)
        return gaussian_code(mu, logvar, draws.noise)._replace(kl_penalty=penalty)
