"""The loss terms, each with its reduction and unit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DISTILLATION_LOGVAR_RANGE = (-6.0, 1.0)
FREE_BITS = 0.05


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) per dimension, batch mean: (B, N) -> (N,), nats."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(0)


def gaussian_nll(image: Tensor, target: Tensor) -> Tensor:
    """Gaussian negative log-likelihood with the optimal shared sigma, nats per image.

    Summed over the D pixels, mean over the batch: D / 2 * (ln(2 pi MSE) + 1).
    Source: Rybkin et al. 2021 (sigma-VAE, arXiv:2006.13202), Eq. 4.
    """
    num_values = target[0].numel()
    error = (image.float() - target.float()).square().mean().clamp(min=1e-6)
    return 0.5 * num_values * (math.log(2 * math.pi) + error.log() + 1)


def distillation(mu: Tensor, logvar: Tensor, copilot_mu: Tensor, copilot_logvar: Tensor) -> Tensor:
    """L_dt = mean over dimensions of w_i KL(q_s,i || q_d,i), nats per dimension, batch mean.

    The co-pilot's side is a constant (no gradient); its log-variance is clamped to [-6, 1] and
    dimensions it does not use get the free-bit weight w_i = KL_i / (KL_i + 0.05).
    Source: VAE-latent distillation of CL-Dis (arXiv:2402.02346); the exact form is ours.
    """
    target_mu = copilot_mu.detach()
    target_logvar = copilot_logvar.detach()
    weight = gaussian_kl(target_mu, target_logvar)
    weight = weight / (weight + FREE_BITS)  # (N,)
    target_logvar = target_logvar.clamp(*DISTILLATION_LOGVAR_RANGE)
    distance = (mu - target_mu).square()
    kl = 0.5 * (target_logvar - logvar + (logvar.exp() + distance) * torch.exp(-target_logvar) - 1)
    return (weight * kl.mean(0)).mean()
