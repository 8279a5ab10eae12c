"""The capacity C and the weight that holds the co-pilot's KL at it: pure functions.

All quantities are nats per image. Nothing here draws random numbers or touches a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from comfyui_cldis.diffusion.schedule import NoiseSchedule

from ..config.settings import LoopConfig

KL_WEIGHT_RANGE = (0.05, 2000.0)
KL_DECAY = 0.99
WEIGHT_GAIN = 0.01
WEIGHT_CLIP = 5.0
DATA_VARIANCE = 0.25  # of a pixel in [-1, 1]; sets where the shape bends, not where it ends


@dataclass(frozen=True)
class ControllerState:
    """State between two updates; JSON-able through `dataclasses.asdict`.

    Attributes:
        capacity: C, the co-pilot's target KL.
        kl_weight: current weight of the co-pilot's KL.
        kl: moving average of the co-pilot's KL.
    """

    capacity: float
    kl_weight: float = 1.0
    kl: float = 0.0


def start(config: LoopConfig, capacity: float) -> ControllerState:
    """State before the first step; `capacity` is C there."""
    weight = config.distance_weight if config.bottleneck == "distance" else config.kl_weight
    return ControllerState(capacity, kl_weight=weight)


def observe_kl(state: ControllerState, config: LoopConfig, kl: float) -> ControllerState:
    """Take the KL of one update of the co-pilot in, of which a step may have several.

    With bottleneck "controller" kl_weight moves so that KL follows C, by the multiplicative
    integral rule kl_weight <- kl_weight * exp(.01 * clip(KL - C, -5, 5)), clipped to its range,
    which is also the anti-windup. After Shao et al. 2020 (ControlVAE), whose additive rule was too
    slow here: one nat of KL buys hundreds of nats of reconstruction.
    """
    average = kl if state.kl == 0 else KL_DECAY * state.kl + (1 - KL_DECAY) * kl
    if config.bottleneck != "controller":
        return replace(state, kl=average)
    low, high = KL_WEIGHT_RANGE
    error = max(-WEIGHT_CLIP, min(WEIGHT_CLIP, kl - state.capacity))
    kl_weight = max(low, min(high, state.kl_weight * math.exp(WEIGHT_GAIN * error)))
    return replace(state, kl=average, kl_weight=kl_weight)


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


def capacity_course(config: LoopConfig, schedule: NoiseSchedule) -> Callable[[float], float]:
    """C as a function of progress in [0, 1], from C_min to C_max.

    "ramp": linear over `ramp_fraction` of the run (Burgess et al. 2018, arXiv:1804.03599,
    section 5). "schedule": the shape of `posterior_kl_shape` over the same part of the run.
    "fixed": C_max throughout.
    """
    low, high = config.capacity_minimum, config.capacity_maximum
    if config.capacity_course == "fixed":
        return lambda progress: high
    is_shaped = config.capacity_course == "schedule"
    shape = posterior_kl_shape(schedule).tolist() if is_shaped else None

    def capacity(progress: float) -> float:
        share = 1.0 if config.ramp_fraction <= 0 else min(progress / config.ramp_fraction, 1.0)
        if shape is not None:
            share = shape[round(share * (len(shape) - 1))]
        return low + share * (high - low)

    return capacity
