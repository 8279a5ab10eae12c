"""Sampling and deterministic inversion, over diffusers' schedulers, for any denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, SupportsIndex

import torch
from torch import Tensor

from .ddim_2m import follow, levels
from .denoiser import Denoiser, predict
from .schedule import NoiseSchedule

LARGEST_TANGENT = 0.5  # of the angle of one step; beyond it the fixed point may not exist
SAMPLERS = ("ddim_2m", "ddim", "dpmpp_2m", "unipc")
INVERSIONS = ("ddim_2m", "ddim")
EDIT_SAMPLER = "ddim_2m"  # the default
MEASURING_SAMPLER = "ddim"  # of what is measured with few steps, and compared with earlier figures


class Step(NamedTuple):
    """Progress after a step: zero-based `index` of `total`, and the current image estimate x0."""

    index: int
    total: int
    x0: Tensor


OnStep = Callable[[Step], None]


def check_num_steps(num_steps: int, schedule: NoiseSchedule) -> None:
    """Raise TypeError unless it is a whole number, and ValueError unless 1 <= num_steps <= T."""
    if not isinstance(num_steps, SupportsIndex):
        raise TypeError(f"The number of steps is {num_steps!r}. Give a whole number.")
    limit = schedule.config.num_train_steps
    if not 1 <= num_steps <= limit:
        raise ValueError(f"The number of steps is {num_steps}. Use 1 to {limit}.")


def check_sampler(sampler: str) -> None:
    """Raise ValueError unless it is one of SAMPLERS."""
    if sampler not in SAMPLERS:
        raise ValueError(f"Unknown sampler '{sampler}'. Use one of {', '.join(SAMPLERS)}.")


def check_inversion(inversion: str) -> None:
    """Raise ValueError unless it is one of INVERSIONS."""
    if inversion not in INVERSIONS:
        raise ValueError(f"Unknown inversion '{inversion}'. Use one of {', '.join(INVERSIONS)}.")


def inversion_of(sampler: str) -> str:
    """The inversion from whose noise a sampler comes closest to the image, one of INVERSIONS."""
    check_sampler(sampler)
    return "ddim" if sampler == "ddim" else "ddim_2m"


def sample(
    denoiser: Denoiser,
    x_T: Tensor,
    schedule: NoiseSchedule,
    *,
    sampler: str = EDIT_SAMPLER,
    num_steps: int = 20,
    on_step: OnStep | None = None,
) -> Tensor:
    """Draw images from noise `x_T` with a deterministic sampler (eta = 0).

    Args:
        x_T: noise (B, C, H, W), float32; not changed.
        sampler: one of SAMPLERS. ddim_2m and ddim retrace an inversion of the same name.
        on_step: called after every step; an exception raised in it ends the call.

    Returns:
        (B, C, H, W), about [-1, 1], not clipped.

    Raises:
        ValueError: unknown sampler, or a number of steps outside 1 .. T.

    Source: Song et al. 2021, Eq. 12 (DDIM, arXiv:2010.02502); Lu et al. 2022 (DPM-Solver++,
    arXiv:2211.01095); Zhao et al. 2023 (UniPC, arXiv:2302.04867); ddim_2m: see its file.
    """
    check_sampler(sampler)
    check_num_steps(num_steps, schedule)
    if sampler == "ddim_2m":
        path = levels(schedule, num_steps)[::-1]
        return follow(denoiser, x_T, schedule, path, on_level=_reporting(on_step, num_steps))
    if sampler == "ddim":
        return _ddim(denoiser, x_T, schedule, num_steps, on_step)
    scheduler = _scheduler(schedule, sampler, num_steps)
    x = x_T.clone()
    for index, timestep in enumerate(scheduler.timesteps):
        prediction, t = predict(denoiser, x, int(timestep), schedule)
        x0 = schedule.to_x0(x, prediction, t) if on_step is not None else None
        x = scheduler.step(prediction, timestep, x, return_dict=False)[0]
        if on_step is not None and x0 is not None:
            on_step(Step(index, num_steps, x0))
    return x


def _ddim(
    denoiser: Denoiser,
    x_T: Tensor,
    schedule: NoiseSchedule,
    num_steps: int,
    on_step: OnStep | None,
) -> Tensor:
    """By the levels that `invert` climbs, whatever their number."""
    x, path = x_T, levels(schedule, num_steps)[::-1]
    for index, (level, following) in enumerate(pairwise(path)):
        prediction, t = predict(denoiser, x, level.timestep, schedule)
        image, eps = schedule.to_x0(x, prediction, t), schedule.to_eps(x, prediction, t)
        x = math.cos(following.angle) * image + math.sin(following.angle) * eps
        if on_step is not None:
            on_step(Step(index, num_steps, image))
    return x


def _scheduler(schedule: NoiseSchedule, sampler: str, num_steps: int) -> Any:
    """Of diffusers, set to the timesteps of the schedule.

    With "leading" spacing those end at 0, a large last step in terms of log-SNR, which these two
    solvers extrapolate over badly; they end before it, as in diffusers, and are even as well.
    """
    scheduler = schedule.scheduler(sampler)
    scheduler.set_timesteps(num_steps)
    timesteps, total = schedule.timesteps(num_steps), schedule.config.num_train_steps
    if schedule.config.spacing == "leading":
        timesteps = [(i + 1) * total // (num_steps + 1) for i in reversed(range(num_steps))]
    scheduler.timesteps = torch.tensor(timesteps)
    alphas_bar = scheduler.alphas_cumprod[scheduler.timesteps]
    sigmas = ((1 - alphas_bar) / alphas_bar).sqrt()
    scheduler.sigmas = torch.cat([sigmas, sigmas.new_zeros(1)])  # the clean image last
    scheduler.num_inference_steps = num_steps
    return scheduler


def invert(
    denoiser: Denoiser,
    x0: Tensor,
    schedule: NoiseSchedule,
    *,
    inversion: str = EDIT_SAMPLER,
    num_steps: int = 20,
    num_corrections: int = 1,
    on_step: OnStep | None = None,
) -> Tensor:
    """Noise x_T from which the sampler of the same name, with as many steps, draws `x0` again.

    Both cost one evaluation more than steps. At 20 steps ddim_2m leads to two thirds of the error
    of ddim in the image and to half of it in edits; up to 12 steps ddim has less (docs/results.md).

    ddim: a step from level t to the cleaner level s is x_s = cos(d) x_t - sin(d) v(x_t, t), with
    d = phi_t - phi_s and cos(phi) = sqrt(alpha_bar). The usual inversion solves this for x_t with
    v taken at (x_s, s). Here each step is corrected by fixed-point iteration with v at (x_t, t),
    which is what the sampler will use; the last evaluation doubles as the next step's first
    guess. Runs of very few steps turn by too large an angle for a fixed point to exist and use
    the usual form. For a network that predicts eps the same is done with eps.

    Args:
        x0: images (B, C, H, W) in [-1, 1]; not changed.
        inversion: one of INVERSIONS.
        num_corrections: of ddim: fixed-point evaluations per step, 0 for the usual inversion.
        on_step: as in `sample`; `x0` is the current image estimate.

    Returns:
        x_T (B, C, H, W), float32.

    Raises:
        ValueError: unknown inversion, or a number of steps outside 1 .. T.

    Source: Song et al. 2021, Eq. 14 (arXiv:2010.02502); fixed point: Pan et al. 2023
    (arXiv:2309.04907); ddim_2m: see its file.
    """
    check_inversion(inversion)
    check_num_steps(num_steps, schedule)
    if inversion == "ddim_2m":
        path = levels(schedule, num_steps)
        return follow(denoiser, x0, schedule, path, on_level=_reporting(on_step, num_steps))
    timesteps = schedule.timesteps(num_steps)[::-1]
    alphas_bar = schedule.alphas_bar.tolist()

    x = x0.clone()
    (prediction, _), is_current = predict(denoiser, x, 0, schedule), True
    alpha_bar, level_s = 1.0, 0  # the clean image
    for index, level in enumerate(timesteps):
        step = _InverseStep(schedule.config.prediction, alpha_bar, alphas_bar[level])
        corrections = num_corrections if step.has_fixed_point else 0
        if not corrections and not is_current:
            prediction, _ = predict(denoiser, x, level_s, schedule)
        x_t = step.solve(x, prediction) if corrections else step.extrapolate(x, prediction)
        for _ in range(corrections):
            prediction, _ = predict(denoiser, x_t, level, schedule)
            x_t = step.solve(x, prediction)
        is_current = False
        x, alpha_bar, level_s = x_t, alphas_bar[level], level
        if on_step is not None:
            t = torch.full((x.shape[0],), level, dtype=torch.long, device=x.device)
            on_step(Step(index, len(timesteps), schedule.to_x0(x, prediction, t)))
    return x


def invert_to_noise(
    denoiser: Denoiser,
    x0: Tensor,
    schedule: NoiseSchedule,
    *,
    num_steps: int = 20,
    on_step: OnStep | None = None,
) -> Tensor:
    """Noise of `x0` as Diff-AE inverts it, for comparison with its results; else use `invert`.

    The image counts as x_t at the first timestep, and the last step goes on to alpha_bar 0: what
    comes out is the noise estimate at the last timestep.

    Returns:
        (B, C, H, W), float32.

    Raises:
        ValueError: a number of steps outside 1 .. T.

    Source: `ddim_reverse_sample` in github.com/phizaz/diffae (MIT).
    """
    check_num_steps(num_steps, schedule)
    timesteps = schedule.timesteps(num_steps)[::-1]
    reached = [*schedule.alphas_bar[timesteps[1:]].tolist(), 0.0]
    x = x0.clone()
    for index, (level, alpha_bar) in enumerate(zip(timesteps, reached, strict=True)):
        prediction, t = predict(denoiser, x, level, schedule)
        image, eps = schedule.to_x0(x, prediction, t), schedule.to_eps(x, prediction, t)
        x = math.sqrt(alpha_bar) * image + math.sqrt(1 - alpha_bar) * eps
        if on_step is not None:
            on_step(Step(index, len(timesteps), image))
    return x


def _reporting(on_step: OnStep | None, num_steps: int) -> Callable[[int, Tensor], None] | None:
    if on_step is None:
        return None
    return lambda index, x0: on_step(Step(index, num_steps, x0))


class _InverseStep:
    """From the cleaner level s to the noisier level t, for a prediction of v or of eps."""

    def __init__(self, prediction: str, alpha_bar_s: float, alpha_bar_t: float) -> None:
        self.is_eps = prediction == "eps"
        if self.is_eps:
            self.ratio = math.sqrt(alpha_bar_t / alpha_bar_s)
            self.gain = math.sqrt(1 - alpha_bar_t) - self.ratio * math.sqrt(1 - alpha_bar_s)
            self.has_fixed_point = True
        else:
            angle = math.acos(math.sqrt(alpha_bar_t)) - math.acos(math.sqrt(alpha_bar_s))
            self.cosine, self.sine = math.cos(angle), math.sin(angle)
            self.has_fixed_point = math.tan(angle) < LARGEST_TANGENT

    def solve(self, x_s: Tensor, prediction: Tensor) -> Tensor:
        """x_t such that the sampler's step gives x_s, for the prediction at (x_t, t)."""
        if self.is_eps:
            return self.ratio * x_s + self.gain * prediction
        return (x_s + self.sine * prediction) / self.cosine

    def extrapolate(self, x_s: Tensor, prediction: Tensor) -> Tensor:
        """x_t along the prediction at (x_s, s): the usual DDIM inversion."""
        if self.is_eps:
            return self.ratio * x_s + self.gain * prediction
        return self.cosine * x_s + self.sine * prediction
