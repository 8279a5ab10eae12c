"""The controller against plants whose right answer is known."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from trainer.config.settings import LoopConfig
from trainer.training import controller
from trainer.training.controller import capacity_course, posterior_kl_shape

LOOP = LoopConfig(capacity_minimum=1.0, capacity_maximum=20.0, ramp_fraction=0.5)


SCHEDULE = NoiseSchedule(ScheduleConfig())


def begin(loop=LOOP):
    return controller.start(loop, capacity_course(loop, SCHEDULE)(0.0))


def test_courses_of_the_capacity():
    ramp = capacity_course(LOOP, SCHEDULE)
    assert [ramp(p) for p in (0.0, 0.25, 0.5, 0.9)] == pytest.approx([1.0, 10.5, 20.0, 20.0])
    fixed = capacity_course(replace(LOOP, capacity_course="fixed"), SCHEDULE)
    assert fixed(0.0) == fixed(1.0) == 20.0
    shaped = capacity_course(replace(LOOP, capacity_course="schedule"), SCHEDULE)
    schedule = [shaped(p / 100) for p in range(101)]
    assert schedule[0] == 1.0 and schedule[50] == schedule[-1] == 20.0
    assert all(later >= earlier for earlier, later in zip(schedule, schedule[1:], strict=False))
    assert schedule[5] > ramp(0.05) + 5  # it rises early: the posterior narrows at once


def test_posterior_kl_shape_is_the_kl_of_the_posterior():
    """Against a Monte-Carlo KL of the DDPM posterior at three steps, up to the same scaling."""
    schedule = NoiseSchedule(
        ScheduleConfig(betas="linear", prediction="eps", zero_terminal_snr=False)
    )
    shape = posterior_kl_shape(schedule)
    assert len(shape) == 999 and shape[0] == 0 and shape[-1] == 1
    generator = torch.Generator().manual_seed(0)
    x0 = 0.5 * torch.randn(200_000, generator=generator, dtype=torch.float64)
    eps = torch.randn(200_000, generator=generator, dtype=torch.float64)
    betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    alpha_bar = (1 - betas).cumprod(0)

    def kl(t):
        x_t = alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps
        first = alpha_bar[t - 1].sqrt() * betas[t] / (1 - alpha_bar[t])
        second = (1 - betas[t]).sqrt() * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
        variance = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * betas[t]
        posterior = Normal(first * x0 + second * x_t, variance.sqrt())
        return float(kl_divergence(posterior, Normal(0.0, 1.0)).mean())

    noisy, clean = kl(999), kl(1)
    for t in (10, 200, 600):
        assert float(shape[999 - t]) == pytest.approx((kl(t) - noisy) / (clean - noisy), abs=0.01)


def test_start():
    assert begin(replace(LOOP, capacity_course="fixed")).capacity == 20.0
    assert begin(replace(LOOP, bottleneck="distance", distance_weight=70.0)).kl_weight == 70.0


def test_kl_weight_moves_only_under_the_controller():
    for mode in ("distance", "constant"):
        loop = replace(LOOP, bottleneck=mode)
        state = controller.observe_kl(begin(loop), loop, 50.0)
        assert state.kl_weight == begin(loop).kl_weight and state.kl == 50.0
    assert controller.observe_kl(begin(), LOOP, 50.0).kl_weight > begin().kl_weight


def test_kl_weight_holds_the_kl_of_a_plant_at_the_capacity():
    """Plant: KL falls as the weight grows, KL = 60 / weight^(1/2), with a lag."""
    state = replace(begin(), capacity=8.0)
    kl = 40.0
    for _ in range(3000):
        kl += 0.1 * (60 / state.kl_weight**0.5 - kl)
        state = controller.observe_kl(state, LOOP, kl)
    assert kl == pytest.approx(8.0, abs=0.2)


def test_kl_weight_stays_in_range():
    state = begin()
    for kl in (1e9, 0.0):
        for _ in range(3000):
            state = controller.observe_kl(state, LOOP, kl)
        low, high = controller.KL_WEIGHT_RANGE
        assert state.kl_weight == (high if kl else low)
