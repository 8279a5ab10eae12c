"""The controller that closes the loop: pure functions from measurements to C and kl_weight.

Without feedback C follows its open-loop schedule (`envelope`), which bounds it otherwise. All
quantities are nats per image. Nothing here draws random numbers or touches a network.
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
GAIN = 0.05
LARGEST_MOVE = 0.2
COLD_START = 1.0
WEIGHT_GAIN = 0.01
WEIGHT_CLIP = 5.0
DATA_VARIANCE = 0.25  # of a pixel in [-1, 1]; sets where the shape bends, not where it ends


@dataclass(frozen=True)
class ControllerState:
    """State between two updates; JSON-able through `dataclasses.asdict`.

    Attributes:
        capacity: C, the co-pilot's target KL.
        kl_weight: current weight of the co-pilot's KL.
        information: calibrated estimate of I(x; z), 0 before the first.
        orthogonal, direct, encoder_kl: moving averages it is made from.
        num_information: how many estimates went into them.
        kl: moving average of the co-pilot's KL.
    """

    capacity: float
    kl_weight: float = 1.0
    information: float = 0.0
    orthogonal: float = 0.0
    direct: float = 0.0
    encoder_kl: float = 0.0
    num_information: int = 0
    kl: float = 0.0

    @property
    def used(self) -> float:
        """Share of the co-pilot's KL that the diffusion decoder uses, I / KL."""
        return self.information / (self.kl + 1e-3)


def start(config: LoopConfig, capacity: float) -> ControllerState:
    """State before the first step; `capacity` is the envelope's value there."""
    weight = config.distance_weight if config.bottleneck == "distance" else config.kl_weight
    return ControllerState(capacity, kl_weight=weight)


def observe_kl(state: ControllerState, config: LoopConfig, kl: float) -> ControllerState:
    """Take one step's KL in; with bottleneck "controller" move kl_weight so that KL follows C.

    Multiplicative integral rule kl_weight <- kl_weight * exp(.01 * clip(KL - C, -5, 5)), clipped
    to its range, which is also the anti-windup. After Shao et al. 2020 (ControlVAE), whose
    additive rule was too slow here: one nat of KL buys hundreds of nats of reconstruction.
    """
    average = kl if state.kl == 0 else KL_DECAY * state.kl + (1 - KL_DECAY) * kl
    if config.bottleneck != "controller":
        return replace(state, kl=average)
    low, high = KL_WEIGHT_RANGE
    error = max(-WEIGHT_CLIP, min(WEIGHT_CLIP, kl - state.capacity))
    kl_weight = max(low, min(high, state.kl_weight * math.exp(WEIGHT_GAIN * error)))
    return replace(state, kl=average, kl_weight=kl_weight)


def observe_information(
    state: ControllerState,
    config: LoopConfig,
    orthogonal: float,
    direct: float,
    encoder_kl: float,
) -> ControllerState:
    """Take an information estimate in.

    The orthogonal form counts the errors of both branches as information and the direct form
    those of the null branch, and I <= KL of the semantic encoder always holds; so the smallest of
    the three counts, and never less than 0. Each is averaged first: the single estimates are so
    noisy that the average of their minima would be far too low.
    """
    decay = config.information_decay if state.num_information else 0.0

    def average(before: float, now: float) -> float:
        return decay * before + (1 - decay) * now

    averages = {
        "orthogonal": average(state.orthogonal, orthogonal),
        "direct": average(state.direct, direct),
        "encoder_kl": average(state.encoder_kl, encoder_kl),
    }
    return replace(
        state,
        **averages,
        information=max(0.0, min(averages.values())),
        num_information=state.num_information + 1,
    )


def update_capacity(state: ControllerState, config: LoopConfig, envelope: float) -> ControllerState:
    """Set C for the next interval, given the value of `envelope` there.

    With feedback "information" C <- clip(C + clip(.05 * ((1 + margin) * I - C), -.2, .2), C_min,
    envelope); until I exceeds 1 nat C is the envelope itself, so that a decoder that does not use
    z yet cannot lock the capacity at zero. The other modes follow their envelope.
    """
    if config.feedback != "information" or state.information <= COLD_START:
        return replace(state, capacity=envelope)
    wanted = GAIN * ((1 + config.capacity_margin) * state.information - state.capacity)
    move = max(-LARGEST_MOVE, min(LARGEST_MOVE, wanted))
    capacity = min(max(state.capacity + move, config.capacity_minimum), envelope)
    return replace(state, capacity=capacity)


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
