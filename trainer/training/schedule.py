"""What a run does when: learning rate, warm-ups and progress, also after its length was changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from comfyui_cldis.wording import counted

from ..config.settings import TrainConfig

LEARNING_RATE_FLOOR = 0.1
LEAST_RISE = 0.02  # of the full learning rate; a smaller rise is not mentioned


@dataclass(frozen=True)
class RunSchedule:
    """The lengths a run was given; JSON-able through `dataclasses.asdict`.

    A run that gets more steps continues, it does not start over: its warm-ups and its schedule of C
    stay where they were planned, and only the learning rate follows the new length.

    Attributes:
        length: steps of the run, as asked for last.
        planned: the smallest length asked for so far; warm-ups and the schedule of C are shares of
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

    def resumed(self, config: TrainConfig, step: int) -> RunSchedule:
        """The schedule of a run that continues at `step` with the length in `config`."""
        if config.steps == self.length:
            return self
        return RunSchedule(
            length=config.steps,
            planned=min(self.planned, config.steps),
            changed_at=step,
            rate=self.fall(config, step),
            before=self.length,
        )

    def progress(self, step: int) -> float:
        """Where `step` is on the planned schedule: 0 at the start, 1 at its end and beyond."""
        return min(1.0, step / self.planned)

    def settle(self, config: TrainConfig) -> TrainConfig:
        """The configuration with the co-pilot's warm-up of this schedule."""
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
        return min(self._decayed(config, step), self._climbed(config, step))

    def _decayed(self, config: TrainConfig, step: int) -> float:
        """Plateau, then the cosine fall; it never rises."""
        start = self.length * (1 - config.decay_fraction)
        if step <= start or config.decay_fraction <= 0:
            return 1.0
        share = min(1.0, (step - start) / (self.length - start))
        half_wave = 0.5 * (1 + math.cos(math.pi * share))
        return LEARNING_RATE_FLOOR + (1 - LEARNING_RATE_FLOOR) * half_wave

    def _climbed(self, config: TrainConfig, step: int) -> float:
        """The way back up after a change of the length; it never falls, and may exceed 1."""
        if config.warmup_steps:
            return self.rate + (1 - self.rate) * (step - self.changed_at) / config.warmup_steps
        return self.rate if step <= self.changed_at else 1.0

    def describe_change(self, config: TrainConfig) -> str:
        """The last change of the length and what it means, as a sentence."""
        verb = "stay" if self.length > self.before else "become"
        return (
            f"The run has {counted(self.length, 'step')} now instead of {self.before:,}: its "
            f"warm-ups and its schedule of C {verb} those of a run of "
            f"{counted(self.planned, 'step')}; {self._describe_rate(config)}."
        )

    def _describe_rate(self, config: TrainConfig) -> str:
        """What the learning rate does in the steps that are left."""
        left = self.length - self.changed_at
        decay = round(self.length * config.decay_fraction)
        if self.rate >= 1 and not decay:
            return "the learning rate stays"
        if self.rate >= 1 and decay < left:
            return f"the learning rate falls over the last {counted(decay, 'step')}"
        peak = self._peak(config)
        rise, top = peak - self.changed_at, self.fall(config, peak)
        continues = f"the learning rate continues from {self.rate:.0%} of its full value"
        falls = f"falls to {self.fall(config, self.length):.0%}"
        if top - self.rate < LEAST_RISE:  # the fall is on already
            return f"{continues} and {falls} in {_those_left(left)}"
        rises = f"{continues}, rises to {top:.0%} within {counted(rise, 'step')}"
        if rise == left:
            return f"{continues} and rises to {top:.0%} in {_those_left(left)}"
        last = min(decay, left - rise)
        return f"{rises} and {falls} " + (f"over the last {last:,}" if last > 1 else "in the last")

    def _peak(self, config: TrainConfig) -> int:
        """The step since the change at which the learning rate is highest."""
        low, high = self.changed_at, self.length
        while low < high:  # the climb crosses the fall once
            middle = (low + high) // 2
            if self._climbed(config, middle) >= self._decayed(config, middle):
                high = middle
            else:
                low = middle + 1
        return max(low, max(low - 1, self.changed_at), key=lambda step: self.fall(config, step))


def _those_left(steps: int) -> str:
    return "the one step left" if steps == 1 else f"the {steps:,} steps left"


def start(config: TrainConfig) -> RunSchedule:
    """The schedule of a new run."""
    return RunSchedule(config.steps, config.steps)
