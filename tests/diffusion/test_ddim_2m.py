"""The second-order solver on data whose exact denoiser and paths are known."""

import math

import pytest
import torch

from comfyui_cldis.diffusion.ddim_2m import follow, levels, turned, velocity
from comfyui_cldis.diffusion.noise import gaussian_noise
from comfyui_cldis.diffusion.samplers import (
    INVERSIONS,
    SAMPLERS,
    inversion_of,
    invert,
    sample,
)
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from tests.diffusion.gaussian_data import MEAN, STD, gaussian, images

V = NoiseSchedule(ScheduleConfig())
EPS = NoiseSchedule(ScheduleConfig(prediction="eps", betas="linear", zero_terminal_snr=False))


PUBLISHED = NoiseSchedule(
    ScheduleConfig(prediction="eps", betas="linear", zero_terminal_snr=False, spacing="leading")
)


def exact(x0: torch.Tensor, angle: float) -> torch.Tensor:
    """Where the probability-flow equation takes an image, at an angle."""
    spread = math.hypot(math.cos(angle) * STD, math.sin(angle))
    return math.cos(angle) * MEAN + spread * (x0 - MEAN) / STD


@pytest.mark.parametrize("corrects", [False, True])
@pytest.mark.parametrize("schedule", [V, EPS], ids=["v", "eps"])
def test_second_order_both_ways(schedule, corrects) -> None:
    x0 = images()
    x_T = exact(x0, levels(schedule, 20)[-1].angle)
    for start, end, direction in ((x0, x_T, 1), (x_T, x0, -1)):
        errors = []
        for steps in (25, 100):
            path = levels(schedule, steps)[::direction]
            reached = follow(gaussian(schedule), start, schedule, path, corrects=corrects)
            errors.append(float((reached - end).abs().max()))
        # 16 times smaller at second order, 4 at first; never below what the start costs, where the
        # network is asked at timestep 0 about an image without noise
        assert errors[1] < max(errors[0] / 6, 2e-3), errors
        assert errors[1] < 6e-3


def test_it_is_what_sample_and_invert_follow() -> None:
    x0, path = images(), levels(V, 12)
    x_T = invert(gaussian(V), x0, V, inversion="ddim_2m", num_steps=12)
    assert torch.equal(x_T, follow(gaussian(V), x0, V, path))
    drawn = sample(gaussian(V), x_T, V, sampler="ddim_2m", num_steps=12)
    assert torch.equal(drawn, follow(gaussian(V), x_T, V, path[::-1]))


@pytest.mark.parametrize("std", [0.03, 0.1, 0.5])
@pytest.mark.parametrize("schedule", [V, EPS, PUBLISHED], ids=["v", "eps", "published"])
def test_closer_to_the_image_than_ddim_at_twenty_steps(schedule, std) -> None:
    """Also where the first two levels have one timestep, and where the data are nearly flat."""
    denoiser = gaussian(schedule, std)
    x0 = MEAN + std * gaussian_noise((2, 3, 4, 4), seed=1)

    def error(name: str) -> float:
        x_T = invert(denoiser, x0, schedule, inversion=name)
        return float((sample(denoiser, x_T, schedule, sampler=name) - x0).abs().mean())

    assert error("ddim_2m") < error("ddim")


def test_which_inversion_a_sampler_goes_with() -> None:
    assert {name: inversion_of(name) for name in SAMPLERS} == {
        "ddim_2m": "ddim_2m",
        "ddim": "ddim",
        "dpmpp_2m": "ddim_2m",
        "unipc": "ddim_2m",
    }
    assert {*INVERSIONS} == {inversion_of(name) for name in SAMPLERS}
    with pytest.raises(ValueError, match="Unknown sampler 'euler'. Use one of ddim_2m, ddim,"):
        inversion_of("euler")
    with pytest.raises(ValueError, match="Unknown inversion 'unipc'. Use one of ddim_2m, ddim."):
        invert(gaussian(V), images(), V, inversion="unipc")


def test_velocity_of_both_predictions() -> None:
    x = images()
    for schedule in (V, EPS):
        level = levels(schedule, 10)[5]
        v = velocity(gaussian(schedule), x, level, schedule)
        step = 1e-3
        spread = math.hypot(math.cos(level.angle) * STD, math.sin(level.angle))
        # the image whose path leads to x
        start = (x - math.cos(level.angle) * MEAN) / spread * STD + MEAN
        expected = (exact(start, level.angle + step) - exact(start, level.angle - step)) / 2 / step
        assert torch.allclose(v, expected, atol=2e-3)
        assert torch.allclose(turned(x, v, step), exact(start, level.angle + step), atol=1e-5)


def test_clipped_estimates_stay_in_range() -> None:
    schedule = NoiseSchedule(ScheduleConfig(clip_x0=True))
    seen = []
    x_T = 3 * gaussian_noise((1, 3, 4, 4), seed=2)

    def wild(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return 5 * gaussian(schedule)(x_t, t)

    sample(wild, x_T, schedule, sampler="ddim_2m", num_steps=6, on_step=seen.append)
    assert max(float(step.x0.abs().max()) for step in seen) <= 1 + 1e-5
