"""DDIM raised to second order: one evaluation for each step, both ways between image and noise.

In the angle phi of the noise level, cos(phi) = sqrt(alpha_bar), the probability-flow equation is
dx/dphi = v (Salimans & Ho 2022, arXiv:2202.00512, appendix D), without a singularity at either
end. A step of DDIM turns x by an angle in the plane of x and v, which is exact where the
curvature x'' + x is 0. Here the curvature is taken for constant over a step, as found from the
steps before ("2M": second order, multistep, as in DPM-Solver++ 2M, arXiv:2211.01095), and each
step is corrected with the evaluation that follows it (UniPC, arXiv:2302.04867), which costs none.
Measured in docs/results.md, "Inversion".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .denoiser import Denoiser, predict
from .schedule import NoiseSchedule


class Level(NamedTuple):
    """A noise level: its angle in [0, pi / 2], and the timestep at which the network is asked."""

    angle: float
    timestep: int


def levels(schedule: NoiseSchedule, num_steps: int) -> list[Level]:
    """The num_steps + 1 levels that DDIM visits, the clean image first."""
    alphas_bar = schedule.alphas_bar.tolist()
    visited = reversed(schedule.timesteps(num_steps))
    return [Level(0.0, 0), *(Level(math.acos(math.sqrt(alphas_bar[t])), t) for t in visited)]


def velocity(denoiser: Denoiser, x: Tensor, level: Level, schedule: NoiseSchedule) -> Tensor:
    """dx/dphi at a level (B, C, H, W), from whatever the network predicts."""
    prediction, _ = predict(denoiser, x, level.timestep, schedule)
    if schedule.config.prediction == "v":
        return prediction
    return (prediction - math.sin(level.angle) * x) / math.cos(level.angle)


def turned(x: Tensor, v: Tensor, angle: float) -> Tensor:
    """x after a step of DDIM by `angle`, positive towards noise."""
    return math.cos(angle) * x + math.sin(angle) * v


def follow(
    denoiser: Denoiser,
    x: Tensor,
    schedule: NoiseSchedule,
    path: list[Level],
    *,
    corrects: bool = True,
    on_level: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """x at the end of a path, from x at its beginning.

    From x and v, x moves by (1 - cos(step)) times the curvature more than with DDIM, and v by
    sin(step) times it. A step is predicted with the curvature of the last one, found from how far
    v was from where DDIM led; between two levels of one timestep, as "leading" spacing begins with,
    the network shows none. It costs an evaluation for each level but the clean image at the
    end of a path; the first level of a path to noise is that image and costs one.

    Args:
        x: (B, C, H, W), float32; not changed.
        path: the levels to visit, in either direction.
        corrects: do each step again with the curvature that the evaluation after it shows.
        on_level: called after each step with its index and the image estimate x0 of its start.
    """
    v, curvature = velocity(denoiser, x, path[0], schedule), torch.zeros_like(x)
    estimate = turned(x, v, -path[0].angle)
    for index, (level, following) in enumerate(zip(path, path[1:], strict=False)):
        angle = following.angle - level.angle
        straight, v_straight = turned(x, v, angle), turned(v, -x, angle)
        x, found = straight + (1 - math.cos(angle)) * curvature, estimate
        is_last = following is path[-1]
        if not is_last or (corrects and following.angle > 0):
            v = velocity(denoiser, x, following, schedule)
            estimate = turned(x, v, -following.angle)
            if following.timestep != level.timestep:
                curvature = (v - v_straight) / math.sin(angle)
            if corrects:
                x = straight + (1 - math.cos(angle)) * curvature
        if on_level is not None:
            on_level(index, found)
    return x
