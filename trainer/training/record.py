"""What a run measures at a step: one line of stats.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


def finite(value: Any) -> float | None:
    """The value when it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


@dataclass(frozen=True)
class TrainingRecord:
    """The measurements of one step; None where one is not known. Nats are per image.

    Attributes:
        step: steps done.
        planned_steps: length of the run that warm-ups and the schedule of C are shares of.
        is_warmup: whether the step trained the co-pilot alone, before the rest.
        images: of all steps so far, a batch each, with repeats; further updates of the co-pilot
            have others on top.
        seconds: of all training steps so far.
        diffusion, distillation, reconstruction, bottleneck, penalty, feedback: terms of the loss,
            in the units of `step.Losses`.
        embedding: squared error of the wide code of an adaptation, mean per scalar.
        kl, encoder_kl: of the co-pilot and of the semantic encoder, nats; the second is not known
            where only the co-pilot was trained.
        kl_per_dimension: of the co-pilot, (N,) nats.
        gradient_norm: of the diffusion branch, before it was clipped.
        learning_rate: of the diffusion branch.
        capacity, kl_weight: C in nats and the weight that holds KL at it.
        usage_per_dimension: how much worse the diffusion decoder gets without a dimension, (N,)
            nats of its likelihood, averaged (`feedback.usage`).
        used: share of the co-pilot's nats in dimensions whose loss the decoder notices, in [0, 1]:
            at most so much of them is made use of.
    """

    step: int
    planned_steps: int | None = None
    is_warmup: bool = False
    images: int | None = None
    seconds: float | None = None
    diffusion: float | None = None
    distillation: float | None = None
    reconstruction: float | None = None
    bottleneck: float | None = None
    penalty: float | None = None
    feedback: float | None = None
    embedding: float | None = None
    kl: float | None = None
    encoder_kl: float | None = None
    kl_per_dimension: tuple[float, ...] | None = None
    gradient_norm: float | None = None
    learning_rate: float | None = None
    capacity: float | None = None
    kl_weight: float | None = None
    usage_per_dimension: tuple[float, ...] | None = None
    used: float | None = None

    def number(self, name: str) -> float | None:
        """The field of that name when it is a finite number, else None."""
        return finite(getattr(self, name, None))

    def numbers(self) -> dict[str, int | float | None]:
        """The numbers that are known, by name; None for one that is not finite."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: None if finite(value) is None else value
            for name, value in values.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }

    def to_json(self) -> dict[str, Any]:
        """The fields that are known, in JSON's types: a number that is not finite is null."""
        numbers = self.numbers()
        known: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in numbers:
                known[field.name] = numbers[field.name]
            elif isinstance(value, tuple):
                known[field.name] = [finite(each) for each in value]
            elif value is not None:
                known[field.name] = value
        return known

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainingRecord:
        """Read what `to_json` gave; unknown keys, and values of another type, count as not known.

        Raises:
            ValueError: there is no step.
        """
        step = values.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            raise ValueError(f"A record has the step {step!r}. Give it a whole number.")
        known: dict[str, Any] = {
            "step": step,
            "is_warmup": values.get("is_warmup") is True,
            "kl_per_dimension": _row(values.get("kl_per_dimension")),
            "usage_per_dimension": _row(values.get("usage_per_dimension")),
        }
        for field in fields(cls):
            value = values.get(field.name)
            if field.name not in known and finite(value) is not None:
                known[field.name] = value
        return cls(**known)


NUMBERS = tuple(  # the fields that hold one
    each.name
    for each in fields(TrainingRecord)
    if each.type in ("int", "int | None", "float | None")
)


def _row(value: Any) -> tuple[float, ...] | None:
    """A list of finite numbers; None for anything else."""
    numbers = [finite(each) for each in value] if isinstance(value, (list, tuple)) else []
    row = tuple(number for number in numbers if number is not None)
    return row if row and len(row) == len(numbers) else None
