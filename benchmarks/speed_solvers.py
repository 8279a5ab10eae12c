"""Pairs of an inversion and a sampler that `benchmarks.speed` compares, for any denoiser.

What an inversion returns is what its sampler starts from: a noise map, or for BDIA two of them.
The probability-flow equation in the angle phi, with cos(phi) = sqrt(alpha_bar), is dx/dphi = v
(Salimans & Ho 2022, arXiv:2202.00512, appendix D), without a singularity at either end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from comfyui_cldis.diffusion.samplers import Denoiser, invert, sample
from comfyui_cldis.diffusion.schedule import NoiseSchedule

BDIA_GAMMA = 1.0  # of the deviation from DDIM that a step hands on; an inversion divides by it
Run = Callable[[Denoiser, Tensor, NoiseSchedule, int], Tensor]


class Pair(NamedTuple):
    """An inversion (images to noise) and a sampler (noise to images), each for a number of steps.

    Each is called with the denoiser, what it starts from, the schedule and the steps.
    """

    invert: Run
    draw: Run


class Level(NamedTuple):
    """A noise level: its angle in [0, pi / 2], and the timestep at which the network is asked."""

    angle: float
    timestep: int


def levels(schedule: NoiseSchedule, num_steps: int) -> list[Level]:
    """The levels that DDIM visits with so many steps, the clean image first."""
    scheduler = schedule.scheduler("ddim")
    scheduler.set_timesteps(num_steps)
    timesteps = [int(t) for t in scheduler.timesteps.tolist()][::-1]
    alphas_bar = schedule.alphas_bar.tolist()
    return [Level(0.0, 0), *(Level(math.acos(math.sqrt(alphas_bar[t])), t) for t in timesteps)]


def velocity(denoiser: Denoiser, x: Tensor, level: Level, schedule: NoiseSchedule) -> Tensor:
    """dx/dphi at a level, from whatever the network predicts."""
    t = torch.full((len(x),), level.timestep, dtype=torch.long, device=x.device)
    prediction = denoiser(x, t)
    if schedule.config.prediction == "v":
        return prediction
    return (prediction - math.sin(level.angle) * x) / math.cos(level.angle)


def turned(x: Tensor, v: Tensor, angle: float) -> Tensor:
    """x after a step of DDIM by `angle`, positive towards noise."""
    return math.cos(angle) * x + math.sin(angle) * v


def two_step(
    denoiser: Denoiser, x: Tensor, schedule: NoiseSchedule, path: list[Level], *, corrects: bool
) -> Tensor:
    """Follow the path with one evaluation for each step, to second order in the angle.

    DDIM is exact where the curvature x'' + x is 0. Here it is taken for constant over a step: from
    x and v, x then moves by (1 - cos(step)) times the curvature more than with DDIM, and v by
    sin(step) times it. The step is predicted with the curvature of the last one, found from how
    far v was from where DDIM led.

    Args:
        corrects: do each step again with the curvature that the evaluation after it shows. Like
            UniPC's corrector it costs no evaluation, as the one at the prediction is kept.
    """
    v, curvature = velocity(denoiser, x, path[0], schedule), torch.zeros_like(x)
    for level, following in zip(path, path[1:], strict=False):
        angle = following.angle - level.angle
        straight, v_straight = turned(x, v, angle), turned(v, -x, angle)
        x = straight + (1 - math.cos(angle)) * curvature
        is_last = following is path[-1]
        if is_last and not (corrects and following.angle > 0):
            break  # the clean image needs no evaluation
        v = velocity(denoiser, x, following, schedule)
        curvature = (v - v_straight) / math.sin(angle)
        if corrects:
            x = straight + (1 - math.cos(angle)) * curvature
    return x


def _two_step_invert(
    corrects: bool, denoiser: Denoiser, x0: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    return two_step(denoiser, x0, schedule, levels(schedule, num_steps), corrects=corrects)


def _two_step_draw(
    corrects: bool, denoiser: Denoiser, x_T: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    path = levels(schedule, num_steps)[::-1]
    return two_step(denoiser, x_T, schedule, path, corrects=corrects)


def bdia_invert(denoiser: Denoiser, x0: Tensor, schedule: NoiseSchedule, num_steps: int) -> Tensor:
    """The last two states (2, B, C, H, W) of a path that `bdia_draw` goes back exactly.

    Source: Zhang et al. 2023 (BDIA-DDIM, arXiv:2307.10829), solved for the noisier state.
    """
    path = levels(schedule, num_steps)
    cleaner, x = x0, turned(x0, velocity(denoiser, x0, path[0], schedule), path[1].angle)
    for before, level, after in zip(path, path[1:], path[2:], strict=False):
        back, forth = _both_ways(denoiser, x, before, level, after, schedule)
        cleaner, x = x, forth + (cleaner - back) / BDIA_GAMMA
    return torch.stack([cleaner, x])


def bdia_draw(
    denoiser: Denoiser, states: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    """Images of the two states."""
    path = levels(schedule, num_steps)
    x, noisier = states.unbind()
    for before, level, after in reversed(list(zip(path, path[1:], path[2:], strict=False))):
        back, forth = _both_ways(denoiser, x, before, level, after, schedule)
        noisier, x = x, back + BDIA_GAMMA * (noisier - forth)
    return x


def _both_ways(
    denoiser: Denoiser,
    x: Tensor,
    before: Level,
    level: Level,
    after: Level,
    schedule: NoiseSchedule,
) -> tuple[Tensor, Tensor]:
    """What DDIM makes of x one step towards the image and one towards noise, of one evaluation."""
    v = velocity(denoiser, x, level, schedule)
    return turned(x, v, before.angle - level.angle), turned(x, v, after.angle - level.angle)


def _library_invert(
    corrections: int, denoiser: Denoiser, x0: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    return invert(denoiser, x0, schedule, num_steps=num_steps, num_corrections=corrections)


def _library_draw(
    sampler: str, denoiser: Denoiser, x_T: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    return sample(denoiser, x_T, schedule, sampler=sampler, num_steps=num_steps)


PAIRS = {
    "ddim": Pair(partial(_library_invert, 0), partial(_library_draw, "ddim")),
    "ddim corrected": Pair(partial(_library_invert, 1), partial(_library_draw, "ddim")),
    "ddim corrected twice": Pair(partial(_library_invert, 2), partial(_library_draw, "ddim")),
    "dpmpp_2m": Pair(partial(_two_step_invert, True), partial(_library_draw, "dpmpp_2m")),
    "unipc": Pair(partial(_two_step_invert, True), partial(_library_draw, "unipc")),
    "two-step": Pair(partial(_two_step_invert, False), partial(_two_step_draw, False)),
    "two-step corrected": Pair(partial(_two_step_invert, True), partial(_two_step_draw, True)),
    "bdia": Pair(bdia_invert, bdia_draw),
}
