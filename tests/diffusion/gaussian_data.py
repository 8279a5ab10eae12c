"""Data whose exact denoiser is known: a Gaussian in each pixel."""

import torch

from comfyui_cldis.diffusion.noise import gaussian_noise
from comfyui_cldis.diffusion.schedule import NoiseSchedule

STD, MEAN = 0.5, 0.3


def gaussian(schedule: NoiseSchedule, std: float = STD):
    """The exact denoiser of Gaussian data."""

    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha_bar = schedule.alphas_bar[t].float().view(-1, 1, 1, 1)
        a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        x0 = MEAN + a * std**2 / (a**2 * std**2 + s**2) * (x_t - a * MEAN)
        eps = (x_t - a * x0) / s
        return eps if schedule.config.prediction == "eps" else a * eps - s * x0

    return denoise


def images() -> torch.Tensor:
    return MEAN + STD * gaussian_noise((2, 3, 4, 4), seed=1)
