"""The loss terms, each with its reduction and unit."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.diffusion.weighting import SNR_CLIP, SNR_FLOOR, loss_weight

DISTILLATION_LOGVAR_RANGE = (-8.0, 1.0)
Average = Callable[[Tensor], Tensor]


def image_weight(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Weight (B,) of the diffusion loss at timesteps (B,).

    A decoder that predicts noise, as the published ones, does not tell the image at the noisiest
    steps: its estimate of it is its error divided by the signal. Weighed as such these steps would
    be all of the loss, so that there the error of the noise itself counts.
    """
    is_plain = schedule.config.prediction == "eps"
    return loss_weight(schedule, t, gamma=SNR_CLIP, floor=0.0 if is_plain else SNR_FLOOR)


def alone(value: Tensor) -> Tensor:
    """The mean over all processes when there is only one."""
    return value


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) per dimension, batch mean: (B, N) -> (N,), nats."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(0)


def gaussian_nll(image: Tensor, target: Tensor, average: Average = alone) -> Tensor:
    """Gaussian negative log-likelihood with the optimal shared sigma, nats per image.

    Summed over the D pixels, mean over the batch: D / 2 * (ln(2 pi MSE) + 1).
    Source: Rybkin et al. 2021 (sigma-VAE, arXiv:2006.13202), Eq. 4.

    Args:
        average: mean of a detached value over all processes, so that sigma is shared by all that
            they compute at a time; their gradients then average to those of one process. Of
            accumulated parts each has a sigma of its own.
    """
    num_values = target[0].numel()
    error = (image.float() - target.float()).square().mean()
    variance = shared_variance(error, average)
    return 0.5 * num_values * (math.log(2 * math.pi) + variance.log() + error / variance)


def shared_variance(error: Tensor, average: Average = alone) -> Tensor:
    """sigma^2 of `gaussian_nll`, of the mean squared error (); a constant, at least 1e-6."""
    return average(error.detach()).clamp(min=1e-6)


def distillation(
    mu: Tensor,
    logvar: Tensor,
    target_mu: Tensor,
    target_logvar: Tensor,
    target_kl: Tensor,
    free_bits: float,
    error_variance: float,
    gradient_share: float = 0.0,
) -> Tensor:
    """L_dt = mean over dimensions of w_i KL(q_s,i || q_d,i), nats per dimension, batch mean.

    The co-pilot's log-variance is clamped to [-8, 1] and dimensions it does not use get the
    free-bit weight w_i = KL_i / (KL_i + free_bits). An error of the mean counts in units of the
    co-pilot's variance, of `error_variance` at least, so that dimensions known to a thousandth do
    not drown those known to a tenth; with 0 it is the KL itself.
    Source: VAE-latent distillation of CL-Dis (arXiv:2402.02346); the exact form is ours.

    Args:
        mu, logvar: of the semantic encoder, (B, N).
        target_mu, target_logvar: of the co-pilot, (B, N).
        target_kl: the co-pilot's KL per dimension, (N,) nats; no gradient passes here.
        error_variance: at least 0.
        gradient_share: share of the gradient that reaches the co-pilot; 0 makes it a constant.
    """
    weight = target_kl.detach()
    weight = weight / (weight + free_bits)  # (N,)
    target_mu = _pass_share(target_mu, gradient_share)
    target_logvar = _pass_share(target_logvar, gradient_share).clamp(*DISTILLATION_LOGVAR_RANGE)
    spread = logvar - target_logvar
    error = (mu - target_mu).square() / target_logvar.exp().clamp(min=error_variance)
    kl = 0.5 * (spread.exp() - spread - 1 + error)
    return (weight * kl.mean(0)).mean()


def _pass_share(value: Tensor, share: float) -> Tensor:
    """The same value, with `share` of its gradient."""
    constant = value.detach()
    return constant + share * (value - constant) if share else constant


def bottleneck(
    kl: Tensor,
    mode: str,
    kl_weight: Tensor | float,
    capacity: Tensor | float,
    average: Average = alone,
) -> Tensor:
    """The co-pilot's KL term, nats per image, from its KL (nats per image, batch mean).

    "controller" and "constant": kl_weight * KL. "distance": kl_weight * |KL - C| (Burgess et al.
    2018, arXiv:1804.03599, Eq. 8), on the side of C where the KL of what all processes compute at
    a time is; accumulated parts may be on different sides.
    """
    if mode != "distance":
        return kl_weight * kl
    return kl_weight * torch.sign(average(kl.detach()) - capacity) * (kl - capacity)
