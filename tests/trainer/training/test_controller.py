"""The controller against plants whose right answer is known."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from trainer.config.settings import LoopConfig
from trainer.training import controller
from trainer.training.controller import envelope, posterior_kl_shape

LOOP = LoopConfig(capacity_minimum=1.0, capacity_maximum=20.0, ramp_fraction=0.5)


SCHEDULE = NoiseSchedule(ScheduleConfig())


def begin(loop=LOOP):
    return controller.start(loop, envelope(loop, SCHEDULE)(0.0))


def update(state, loop, progress):
    return controller.update_capacity(state, loop, envelope(loop, SCHEDULE)(progress))


def test_envelopes():
    ramp = envelope(LOOP, SCHEDULE)
    assert [ramp(p) for p in (0.0, 0.25, 0.5, 0.9)] == pytest.approx([1.0, 10.5, 20.0, 20.0])
    fixed = envelope(replace(LOOP, feedback="fixed"), SCHEDULE)
    assert fixed(0.0) == fixed(1.0) == 20.0
    shaped = envelope(replace(LOOP, feedback="schedule"), SCHEDULE)
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


def test_start_and_open_loop_modes():
    assert begin(replace(LOOP, feedback="fixed")).capacity == 20.0
    assert begin(replace(LOOP, bottleneck="distance", distance_weight=70.0)).kl_weight == 70.0
    ramp = replace(LOOP, feedback="ramp")
    informed = replace(begin(ramp), information=3.0)
    assert update(informed, ramp, 0.25).capacity == pytest.approx(10.5)


def test_kl_weight_moves_only_under_the_controller():
    for mode in ("distance", "constant"):
        loop = replace(LOOP, bottleneck=mode)
        state = controller.observe_kl(begin(loop), loop, 50.0)
        assert state.kl_weight == begin(loop).kl_weight and state.kl == 50.0
    assert controller.observe_kl(begin(), LOOP, 50.0).kl_weight > begin().kl_weight


def test_cold_start_follows_the_ramp():
    state = begin()
    assert update(state, LOOP, 0.25).capacity == pytest.approx(10.5)


def test_capacity_follows_information_by_limited_moves():
    state = replace(begin(), capacity=5.0, information=10.0)
    assert update(state, LOOP, 1.0).capacity == pytest.approx(5.2)
    state = replace(state, information=5.0)  # (1.15 * 5 - 5) * .05
    assert update(state, LOOP, 1.0).capacity == pytest.approx(5.0375)
    for _ in range(2000):
        state = update(state, LOOP, 1.0)
    assert state.capacity == pytest.approx(5.75, abs=0.01)
    eager = replace(LOOP, capacity_margin=0.5)
    assert update(replace(state, capacity=5.0), eager, 1.0).capacity == pytest.approx(5.125)
    low = replace(state, information=1.01, capacity=1.0)
    assert update(low, LOOP, 1.0).capacity >= LOOP.capacity_minimum
    high = replace(state, information=500.0, capacity=19.95)
    assert update(high, LOOP, 1.0).capacity == LOOP.capacity_maximum
    assert update(high, LOOP, 0.25).capacity == pytest.approx(10.5)


def test_the_smallest_bound_counts():
    state = begin()
    assert controller.observe_information(state, LOOP, 70.0, 40.0, 25.0).information == 25.0
    assert controller.observe_information(state, LOOP, 7.0, 40.0, 25.0).information == 7.0
    assert controller.observe_information(state, LOOP, 7.0, -3.0, 25.0).information == 0.0
    noisy = state  # alternating -30 and 50 averages to about 10, not to 0
    for index in range(400):
        noisy = controller.observe_information(noisy, LOOP, 90.0, (-30.0, 50.0)[index % 2], 25.0)
    assert noisy.information == pytest.approx(10.0, abs=1.5)
    once = controller.observe_information(state, LOOP, 10.0, 10.0, 10.0)
    twice = controller.observe_information(once, LOOP, 20.0, 20.0, 20.0)
    assert twice.information == pytest.approx(10.5)
    quick = replace(LOOP, information_decay=0.8)
    assert controller.observe_information(once, quick, 20.0, 20.0, 20.0).information == 12.0


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
