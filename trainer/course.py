"""What a run does when: learning rate, warm-ups and progress, also after its length was changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .config import TrainConfig

LEARNING_RATE_FLOOR = 0.1


@dataclass(frozen=True)
class Course:
    """The lengths a run was given; JSON-able through `dataclasses.asdict`.

    A run that gets more steps goes on, it does not start over: its warm-ups and its course of C
    stay where they were planned, and only the learning rate follows the new length.

    Attributes:
        length: steps of the run, as asked for last.
        planned: the smallest length asked for so far; warm-ups and the course of C are shares of
            it, so that no change of the length brings them back.
        changed_at: step at which the length was changed last; 0 for a run that never was.
        rate: factor on the learning rates at that step.
        before: length before that change, 0 for none.
    """

    length: int
    planned: int
    changed_at: int = 0
    rate: float = 1.0
    before: int = 0

    def resumed(self, config: TrainConfig, step: int) -> Course:
        """The course of a run that goes on at `step` with the length in `config`."""
        if config.steps == self.length:
            return self
        return Course(
            length=config.steps,
            planned=min(self.planned, config.steps),
            changed_at=step,
            rate=self.fall(config, step),
            before=self.length,
        )

    def progress(self, step: int) -> float:
        """Where `step` is on the planned course: 0 at the start, 1 at its end and beyond."""
        return min(1.0, step / self.planned)

    def settle(self, config: TrainConfig) -> TrainConfig:
        """The configuration with the co-pilot's warm-up of this course."""
        warmup = min(config.loop.copilot_warmup_steps, self.planned // 4)
        return replace(config, loop=replace(config.loop, copilot_warmup_steps=warmup))

    def rate_factor(self, config: TrainConfig, step: int, first_step: int = 0) -> float:
        """Factor on a learning rate: warm-up from `first_step`, plateau, cosine fall to a tenth."""
        done = max(0, step - first_step) + 1
        warm = min(1.0, done / config.warmup_steps) if config.warmup_steps else 1.0
        return warm * self.fall(config, step)

    def fall(self, config: TrainConfig, step: int) -> float:
        """The factor without the first warm-up: in (0, 1].

        After a change of the length it climbs from where it was to where the new length has it, as
        fast as at the start of a run.
        """
        start = self.length * (1 - config.decay_fraction)
        factor = 1.0
        if step > start and config.decay_fraction > 0:
            share = min(1.0, (step - start) / (self.length - start))
            half_wave = 0.5 * (1 + math.cos(math.pi * share))
            factor = LEARNING_RATE_FLOOR + (1 - LEARNING_RATE_FLOOR) * half_wave
        climbed = self.rate
        if config.warmup_steps:
            climbed += (1 - self.rate) * (step - self.changed_at) / config.warmup_steps
        elif step > self.changed_at:
            climbed = 1.0
        return min(factor, climbed)

    def describe_change(self, config: TrainConfig) -> str:
        """The last change of the length and what it means, as a sentence."""
        decay = round(self.length * config.decay_fraction)
        rate = f"the learning rate falls over the last {decay:,} steps"
        if self.rate < 1:
            rate = (
                f"the learning rate goes on from {self.rate:.0%} of its full value, rises within "
                f"{config.warmup_steps:,} steps and falls over the last {decay:,}"
            )
        verb = "stay" if self.length > self.before else "become"
        return (
            f"The run has {self.length:,} steps now instead of {self.before:,}: its warm-ups and "
            f"its course of C {verb} those of a run of {self.planned:,} steps; {rate}."
        )


def start(config: TrainConfig) -> Course:
    """The course of a new run."""
    return Course(config.steps, config.steps)
