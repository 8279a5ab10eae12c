"""How far to move along a direction so that every direction changes the image equally much."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

TARGET_CHANGE = 10.0  # CIELAB root mean square between the images at -step and +step
LARGEST_STEP = 3.0  # standard deviations; beyond it a model is asked for what it never saw
FURTHER = (2.0, LARGEST_STEP)  # amounts tried after 1 when that is too little
HOPELESS = 0.1  # of the target at 1: then the largest amount is tried at once
SMALLEST_STEP = 1 / 64


class Step(NamedTuple):
    """A calibrated step.

    Attributes:
        amount: to each side, in standard deviations.
        change: about how much the image changes between -amount and +amount.
        is_active: whether that is the target; else the amount is LARGEST_STEP.
    """

    amount: float
    change: float
    is_active: bool


def find_step(change_at: Callable[[float], float], target: float = TARGET_CHANGE) -> Step:
    """The amount, up to LARGEST_STEP, at which the change first reaches the target.

    Tries 1, then 2 and 3 or else 1/2, 1/4 and so on, and goes straight between the last two: mostly
    two to four calls, for a dead direction two.

    Args:
        change_at: mean change between the images at -amount and at +amount; 0 at 0.
    """
    if target <= 0:
        raise ValueError(f"The target change is {target}. Use a positive number of CIELAB units.")
    amount, change = 1.0, change_at(1.0)
    if change < target:
        for larger in FURTHER if change >= HOPELESS * target else FURTHER[-1:]:
            before, change_before = amount, change
            amount, change = larger, change_at(larger)
            if change >= target:
                return Step(_between(before, change_before, amount, change, target), target, True)
        return Step(LARGEST_STEP, change, False)
    while amount > SMALLEST_STEP:
        smaller = amount / 2
        change_smaller = change_at(smaller)
        if change_smaller < target:
            between = _between(smaller, change_smaller, amount, change, target)
            return Step(between, target, True)
        amount, change = smaller, change_smaller
    return Step(amount, change, True)


def _between(
    low: float, change_low: float, high: float, change_high: float, target: float
) -> float:
    return low + (high - low) * (target - change_low) / (change_high - change_low)
