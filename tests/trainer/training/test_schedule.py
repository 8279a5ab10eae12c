"""The schedule of a run: the learning rate's shape, and what another length changes."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from trainer.config.settings import load_preset
from trainer.training import schedule as run_schedule
from trainer.training.schedule import RunSchedule
from trainer.training.trainer import Trainer

TINY = load_preset("tiny32")
CONFIG = replace(TINY, steps=100, warmup_steps=10, decay_fraction=0.5)


def with_steps(steps: int):
    return replace(CONFIG, steps=steps)


def test_learning_rate_shape():
    begun = run_schedule.start(CONFIG)
    assert begun.rate_factor(CONFIG, 0) == pytest.approx(0.1)
    assert begun.rate_factor(CONFIG, 20, first_step=20) == pytest.approx(0.1)
    assert begun.rate_factor(CONFIG, 50) == 1.0
    assert begun.rate_factor(CONFIG, 75) == pytest.approx(0.55)  # half way down to a tenth
    assert begun.rate_factor(CONFIG, 100) == pytest.approx(0.1)


def test_the_same_length_changes_nothing():
    begun = run_schedule.start(CONFIG)
    assert begun.resumed(CONFIG, 70) is begun


def test_more_steps_after_the_end_raise_the_learning_rate_again_without_a_jump():
    config = with_steps(300)
    longer = run_schedule.start(CONFIG).resumed(config, 100)
    factors = [longer.rate_factor(config, step) for step in range(100, 301)]
    assert factors[0] == pytest.approx(0.1)  # where the finished run ended
    assert factors[5] == pytest.approx(0.55)  # half of the ten steps of warm-up
    assert factors[10:51] == [1.0] * 41
    assert factors[125] == pytest.approx(0.55)  # half of the fall from step 150 to 300
    assert factors[-1] == pytest.approx(0.1)
    assert max(np.abs(np.diff(factors))) < 0.1


def test_a_second_change_starts_from_where_the_first_one_is():
    first = run_schedule.start(CONFIG).resumed(with_steps(300), 100)
    second = first.resumed(with_steps(1000), 105)
    assert second.rate == pytest.approx(0.55)
    assert second.rate_factor(with_steps(1000), 105) == pytest.approx(0.55)
    assert (second.before, second.planned, second.length) == (300, 100, 1000)


def test_a_length_changed_without_warmup_steps_takes_the_full_rate_at_once():
    config = replace(CONFIG, warmup_steps=0, steps=300)
    longer = run_schedule.start(replace(config, steps=100)).resumed(config, 100)
    assert longer.rate_factor(config, 101) == 1.0


@pytest.mark.parametrize(("lengths", "planned"), [((300,), 100), ((40, 400), 40), ((60,), 60)])
def test_progress_never_goes_back(lengths, planned):
    now, step, progress = run_schedule.start(CONFIG), 30, [0.3]
    for length in lengths:
        now = now.resumed(with_steps(length), step)
        progress.append(now.progress(step))
    assert now.planned == planned
    assert progress == sorted(progress)
    assert now.progress(10_000) == 1.0


def test_the_schedule_survives_json():
    longer = run_schedule.start(CONFIG).resumed(with_steps(300), 100)
    assert RunSchedule(**json.loads(json.dumps(asdict(longer)))) == longer


def test_the_change_is_described():
    config = with_steps(2000)
    text = run_schedule.start(CONFIG).resumed(config, 100).describe_change(config)
    assert "2,000 steps now instead of 100" in text
    assert "stay those of a run of 100 steps" in text
    assert "continues from 10% of its full value, rises to 100% within 10 steps and falls" in text
    assert "falls to 10% over the last 1,000" in text
    shorter = run_schedule.start(CONFIG).resumed(with_steps(60), 20).describe_change(with_steps(60))
    assert "become those of a run of 60 steps" in shorter
    assert "the learning rate falls over the last 30 steps" in shorter


@pytest.mark.parametrize(
    ("steps", "warmup", "rate"),
    [
        # the fall is on: .9 * (1 - .5 (1 + cos(pi * 48 / 52))) + .1 = 11 % at its start
        (104, 10, "from 10% of its full value and falls to 10% in the 4 steps left"),
        (101, 10, "from 10% of its full value and falls to 10% in the one step left"),
        # climbs .9 / 200 a step, to .1 + .9 * 62 / 200 before it would exceed the fall
        (200, 200, "rises to 38% within 62 steps and falls to 10% over the last 38"),
    ],
)
def test_the_words_fit_the_steps_that_are_left(steps, warmup, rate):
    config = replace(CONFIG, steps=steps, warmup_steps=warmup)
    longer = run_schedule.start(replace(config, steps=100)).resumed(config, 100)
    text = longer.describe_change(config)
    assert rate in text
    factors = [longer.fall(config, step) for step in range(100, steps + 1)]
    top = max(factors)
    assert top - factors[0] < 0.02 or f"{top:.0%}" in text


def test_a_fall_of_one_step_is_described_as_one():
    config = replace(CONFIG, steps=10, warmup_steps=30, decay_fraction=0.1)
    longer = run_schedule.start(replace(config, steps=6)).resumed(config, 6)
    # .1 + .9 * 3 / 30 before the last step, which ends at a tenth
    assert longer.describe_change(config).endswith(
        "rises to 19% within 3 steps and falls to 10% in the last."
    )


def test_without_a_fall_the_rate_only_rises():
    config = replace(CONFIG, steps=104, warmup_steps=8, decay_fraction=0.0)
    changed = run_schedule.start(replace(config, steps=100)).resumed(config, 50)
    assert changed.describe_change(config).endswith("; the learning rate stays.")
    changed = replace(changed, changed_at=100, rate=0.1)
    # .1 + .9 * 4 / 8
    assert "from 10% of its full value and rises to 55% in the 4 steps left" in (
        changed.describe_change(config)
    )


def test_a_resumed_run_keeps_warmup_and_capacity_where_they_were():
    settings = {
        "steps": 8,
        "batch_size": 4,
        "loop.copilot_warmup_steps": 100,  # two steps, as a quarter of the run
        "loop.capacity_course": "ramp",
        "loop.ramp_fraction": 0.5,
        "loop.control_every_steps": 1,
    }
    config = TINY.with_values(settings)
    images = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
    short = Trainer(config, images)
    for _ in range(3):
        short.train_step()
    longer = Trainer(replace(config, steps=800), images)
    longer.load(short.state())
    assert longer.config.copilot_warmup_steps == 2  # not 100 again
    assert longer.optimizer.param_groups[0]["first_step"] == 2
    before = longer.control.capacity
    assert longer.train_step().diffusion > 0  # a warm-up step has none
    low, high = config.loop.capacity_minimum, config.loop.capacity_maximum
    assert before == pytest.approx(low + 3 / 4 * (high - low))
    assert longer.control.capacity == pytest.approx(high)  # four steps of eight: the whole ramp
    again = Trainer(replace(config, steps=800), images)
    again.load(longer.state())
    assert again.run_schedule == longer.run_schedule and again.run_schedule.changed_at == 3
