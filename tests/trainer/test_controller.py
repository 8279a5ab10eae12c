"""The controller against plants whose right answer is known."""

from dataclasses import replace

import pytest

from trainer import controller
from trainer.config import LoopConfig

LOOP = LoopConfig(capacity_minimum=1.0, capacity_maximum=20.0, ramp_fraction=0.5)


def test_ramp_and_modes():
    assert controller.ramp(LOOP, 0.0) == 1.0
    assert controller.ramp(LOOP, 0.25) == pytest.approx(10.5)
    assert controller.ramp(LOOP, 0.9) == 20.0
    fixed = replace(LOOP, feedback="fixed")
    assert controller.start(fixed).capacity == 20.0
    assert controller.update_capacity(controller.start(fixed), fixed, 0.0).capacity == 20.0
    ramp = replace(LOOP, feedback="ramp")
    informed = replace(controller.start(ramp), information=3.0)
    assert controller.update_capacity(informed, ramp, 0.25).capacity == pytest.approx(10.5)


def test_cold_start_follows_the_ramp():
    state = controller.start(LOOP)
    assert controller.update_capacity(state, LOOP, 0.25).capacity == pytest.approx(10.5)


def test_capacity_follows_information_by_limited_moves():
    state = replace(controller.start(LOOP), capacity=5.0, information=10.0)
    assert controller.update_capacity(state, LOOP, 1.0).capacity == pytest.approx(5.2)
    state = replace(state, information=5.0)  # (1.15 * 5 - 5) * .05
    assert controller.update_capacity(state, LOOP, 1.0).capacity == pytest.approx(5.0375)
    for _ in range(2000):
        state = controller.update_capacity(state, LOOP, 1.0)
    assert state.capacity == pytest.approx(5.75, abs=0.01)
    low = replace(state, information=1.01, capacity=1.0)
    assert controller.update_capacity(low, LOOP, 1.0).capacity >= LOOP.capacity_minimum
    high = replace(state, information=500.0, capacity=19.95)
    assert controller.update_capacity(high, LOOP, 1.0).capacity == LOOP.capacity_maximum
    assert controller.update_capacity(high, LOOP, 0.25).capacity == pytest.approx(10.5)


def test_the_smallest_bound_counts():
    state = controller.start(LOOP)
    assert controller.observe_information(state, 70.0, 40.0, 25.0).information == 25.0
    assert controller.observe_information(state, 7.0, 40.0, 25.0).information == 7.0
    assert controller.observe_information(state, 7.0, -3.0, 25.0).information == 0.0
    noisy = state  # alternating -30 and 50 averages to about 10, not to 0
    for index in range(400):
        noisy = controller.observe_information(noisy, 90.0, (-30.0, 50.0)[index % 2], 25.0)
    assert noisy.information == pytest.approx(10.0, abs=1.5)
    once = controller.observe_information(state, 10.0, 10.0, 10.0)
    twice = controller.observe_information(once, 20.0, 20.0, 20.0)
    assert twice.information == pytest.approx(10.5)


def test_kl_weight_holds_the_kl_of_a_plant_at_the_capacity():
    """Plant: KL falls as the weight grows, KL = 60 / weight^(1/2), with a lag."""
    state = replace(controller.start(LOOP), capacity=8.0)
    kl = 40.0
    for _ in range(3000):
        kl += 0.1 * (60 / state.kl_weight**0.5 - kl)
        state = controller.observe_kl(state, kl)
    assert kl == pytest.approx(8.0, abs=0.2)


def test_kl_weight_stays_in_range():
    state = controller.start(LOOP)
    for kl in (1e9, 0.0):
        for _ in range(3000):
            state = controller.observe_kl(state, kl)
        low, high = controller.KL_WEIGHT_RANGE
        assert state.kl_weight == (high if kl else low)
