"""One training step of the closed loop: draw, forward, losses by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from comfyui_cldis.diffusion.information import LOG_SNR_WINDOW, estimate_information
from comfyui_cldis.diffusion.information import stratified_log_snr as draw_log_snr
from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.diffusion.weighting import loss_weight
from comfyui_cldis.model import DiffusionAutoencoder

from .config import LoopConfig, TrainConfig
from .losses import distillation, gaussian_kl, gaussian_nll


class Draws(NamedTuple):
    """Everything random in a step, drawn on the CPU from the step's own generator."""

    t: Tensor
    eps: Tensor
    code_noise: Tensor
    copilot_noise: Tensor
    keep: Tensor
    keep_residual: Tensor

    def to(self, device: torch.device) -> Draws:
        """The same draws on another device."""
        return Draws(*(value.to(device) for value in self))


class Losses(NamedTuple):
    """Loss terms of a step and what the controller needs.

    diffusion: weighted squared error, mean per element. distillation: nats per dimension.
    reconstruction: nats per image. kl, encoder_kl: (N,) nats per dimension, batch mean.
    """

    diffusion: Tensor
    distillation: Tensor
    reconstruction: Tensor
    kl: Tensor
    encoder_kl: Tensor


def draw(config: TrainConfig, generator: torch.Generator) -> Draws:
    """Draw a step's timesteps (stratified), noises and dropout masks."""
    model, loop, b = config.model, config.loop, config.batch_size
    strata = (torch.randperm(b, generator=generator) + torch.rand(b, generator=generator)) / b
    total = config.schedule.num_train_steps
    shape = (b, model.in_channels, model.image_size, model.image_size)
    return Draws(
        t=(strata * total).long().clamp(max=total - 1),
        eps=torch.randn(shape, generator=generator),
        code_noise=torch.randn(b, model.latent_dim, generator=generator),
        copilot_noise=torch.randn(b, model.latent_dim, generator=generator),
        keep=torch.rand(b, generator=generator) >= loop.code_dropout,
        keep_residual=torch.rand(b, generator=generator) >= loop.residual_dropout,
    )


def copilot_losses(
    networks: DiffusionAutoencoder, x0: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reconstruction (nats per image), KL per dimension (N,), and the posterior (mu, logvar)."""
    small = networks.copilot.resize(x0)
    mu, logvar = networks.copilot.encode(small)
    image = networks.copilot.decode(mu + (0.5 * logvar).exp() * noise)
    return gaussian_nll(image, small), gaussian_kl(mu, logvar), mu, logvar


def losses(
    networks: DiffusionAutoencoder,
    schedule: NoiseSchedule,
    loop: LoopConfig,
    x0: Tensor,
    draws: Draws,
) -> Losses:
    """All loss terms for a batch x0 (B, C, S, S) in [-1, 1].

    The prior KL is kept off the diffusion branch on purpose: a diffusion decoder models p(x)
    without z as well, and the code would collapse (docs/method.md).
    """
    reconstruction, kl, copilot_mu, copilot_logvar = copilot_losses(
        networks, x0, draws.copilot_noise
    )
    posterior = networks.encode_semantic(x0)
    z = posterior.mu + (0.5 * posterior.logvar).exp() * draws.code_noise
    residual = posterior.residual
    if residual is not None:
        residual = residual * draws.keep_residual[:, None]
    x_t = schedule.add_noise(x0, draws.eps, draws.t)
    prediction = networks.predict(x_t, draws.t, z, residual, draws.keep)
    error = (prediction - schedule.target(x0, draws.eps, draws.t)).square().flatten(1).mean(1)
    weight = loss_weight(schedule, draws.t, gamma=loop.snr_clip, floor=loop.snr_floor)
    return Losses(
        diffusion=(weight * error).mean(),
        distillation=distillation(posterior.mu, posterior.logvar, copilot_mu, copilot_logvar),
        reconstruction=reconstruction,
        kl=kl,
        encoder_kl=gaussian_kl(posterior.mu, posterior.logvar),
    )


@torch.no_grad()
def measure_information(
    networks: DiffusionAutoencoder,
    schedule: NoiseSchedule,
    x0: Tensor,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Both forms of the estimate of I(x; z) on a batch, in nats: (orthogonal, direct).

    Log-SNR draws are stratified over the window and snapped to the schedule's levels.
    """
    posterior = networks.encode_semantic(x0)
    noise = torch.randn(posterior.mu.shape, generator=generator).to(x0.device)
    z = posterior.mu + (0.5 * posterior.logvar).exp() * noise
    log_snr = draw_log_snr(x0.shape[0], LOG_SNR_WINDOW, generator)
    t = schedule.nearest_timestep(log_snr).to(x0.device)
    levels = schedule.log_snr.to(x0.device)[t]
    none = torch.zeros(x0.shape[0], dtype=torch.bool, device=x0.device)

    def with_code(x: Tensor, _: Tensor) -> Tensor:
        return schedule.to_eps(x, networks.predict(x, t, z, posterior.residual), t)

    def without(x: Tensor, _: Tensor) -> Tensor:
        return schedule.to_eps(x, networks.predict(x, t, z, posterior.residual, none), t)

    estimate = estimate_information(x0, with_code, without, generator=generator, log_snr=levels)
    return estimate.orthogonal, estimate.direct
