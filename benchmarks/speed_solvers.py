"""Pairs of an inversion and a sampler that `benchmarks.speed` compares, for any denoiser.

What an inversion returns is what its sampler starts from: a noise map, or for BDIA two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from comfyui_cldis.diffusion.ddim_2m import Level, follow, levels, turned, velocity
from comfyui_cldis.diffusion.denoiser import Denoiser
from comfyui_cldis.diffusion.samplers import invert, sample
from comfyui_cldis.diffusion.schedule import NoiseSchedule

BDIA_GAMMA = 1.0  # of the deviation from DDIM that a step hands on; an inversion divides by it
Run = Callable[[Denoiser, Tensor, NoiseSchedule, int], Tensor]


class Pair(NamedTuple):
    """An inversion (images to noise) and a sampler (noise to images), each for a number of steps.

    Each is called with the denoiser, what it starts from, the schedule and the steps.
    """

    invert: Run
    draw: Run


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


def _ddim_invert(
    corrections: int, denoiser: Denoiser, x0: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    return invert(
        denoiser,
        x0,
        schedule,
        inversion="ddim",
        num_steps=num_steps,
        num_corrections=corrections,
    )


def _ddim_2m_invert(
    denoiser: Denoiser, x0: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    return invert(denoiser, x0, schedule, inversion="ddim_2m", num_steps=num_steps)


def _draw(
    sampler: str, denoiser: Denoiser, x_T: Tensor, schedule: NoiseSchedule, num_steps: int
) -> Tensor:
    return sample(denoiser, x_T, schedule, sampler=sampler, num_steps=num_steps)


def _uncorrected(
    denoiser: Denoiser, x: Tensor, schedule: NoiseSchedule, num_steps: int, *, to_noise: bool
) -> Tensor:
    path = levels(schedule, num_steps)
    return follow(denoiser, x, schedule, path if to_noise else path[::-1], corrects=False)


PAIRS = {
    "ddim": Pair(partial(_ddim_invert, 0), partial(_draw, "ddim")),
    "ddim corrected": Pair(partial(_ddim_invert, 1), partial(_draw, "ddim")),
    "ddim corrected twice": Pair(partial(_ddim_invert, 2), partial(_draw, "ddim")),
    "dpmpp_2m": Pair(_ddim_2m_invert, partial(_draw, "dpmpp_2m")),
    "unipc": Pair(_ddim_2m_invert, partial(_draw, "unipc")),
    "ddim_2m uncorrected": Pair(
        partial(_uncorrected, to_noise=True), partial(_uncorrected, to_noise=False)
    ),
    "ddim_2m": Pair(_ddim_2m_invert, partial(_draw, "ddim_2m")),
    "bdia": Pair(bdia_invert, bdia_draw),
}
