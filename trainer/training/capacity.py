"""The open-loop schedules of the capacity C over a run: linear, or shaped like the diffusion."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from comfyui_cldis.diffusion.schedule import NoiseSchedule

from ..config.settings import LoopConfig

DATA_VARIANCE = 0.25  # of a pixel in [-1, 1]; sets where the shape bends, not where it ends


def posterior_kl_shape(schedule: NoiseSchedule) -> Tensor:
    """Normalised KL of the reverse posterior from the noisiest step to the cleanest.

    Per pixel, KL(q(x_{t-1} | x_t, x0) || N(0, 1)) = (var + E[mean^2] - 1 - ln var) / 2 with the
    mean and variance of Ho et al. 2020 (arXiv:2006.11239), Eq. 6 and 7, and the expectation over
    x_t and over pixels of variance 0.25. The steps t = T-1 ... 1 are scaled to [0, 1].

    Returns:
        (T - 1,) float64, first 0, last 1.
    """
    alpha_bar = schedule.alphas_bar[1:]
    before = schedule.alphas_bar[:-1]
    alpha = alpha_bar / before
    beta_t = 1 - alpha
    variance = beta_t * (1 - before) / (1 - alpha_bar)
    on_image = before.sqrt() * beta_t / (1 - alpha_bar)  # coefficient of x0 in the mean
    on_noisy = alpha.sqrt() * (1 - before) / (1 - alpha_bar)  # coefficient of x_t
    image_part = (on_image + on_noisy * alpha_bar.sqrt()).square() * DATA_VARIANCE
    mean_square = image_part + on_noisy.square() * (1 - alpha_bar)
    kl = (0.5 * (variance + mean_square - 1 - variance.log())).flip(0)
    kl = torch.cummax(kl, dim=0).values  # it dips by a hair at the noisiest steps
    return (kl - kl[0]) / (kl[-1] - kl[0])


def envelope(config: LoopConfig, schedule: NoiseSchedule) -> Callable[[float], float]:
    """C as a function of progress in [0, 1], from C_min to C_max.

    "ramp" and "information": linear over `ramp_fraction` of the run (Burgess et al. 2018,
    arXiv:1804.03599, section 5); for "information" it is the upper bound. "schedule": the shape of
    `posterior_kl_shape` over the same part of the run. "fixed": C_max throughout.
    """
    low, high = config.capacity_minimum, config.capacity_maximum
    if config.feedback == "fixed":
        return lambda progress: high
    shape = posterior_kl_shape(schedule).tolist() if config.feedback == "schedule" else None

    def capacity(progress: float) -> float:
        share = 1.0 if config.ramp_fraction <= 0 else min(progress / config.ramp_fraction, 1.0)
        if shape is not None:
            share = shape[round(share * (len(shape) - 1))]
        return low + share * (high - low)

    return capacity
