"""Named directions in the semantic code, and how amounts along them are applied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Direction:
    """One slider.

    Attributes:
        name: unique within a model.
        vector: (N,) of unit length, in units of the latent standard deviation per dimension.
        minimum, maximum: safe amounts in standard deviations, minimum < 0 < maximum.
        negative_label, positive_label: what the two ends look like.
        effect: mean absolute change of the picture, in [0, 2] image units, between -1 and +1.
    """

    name: str
    vector: tuple[float, ...]
    minimum: float
    maximum: float
    negative_label: str = ""
    positive_label: str = ""
    effect: float = 0.0

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("A direction has no name. Give it one.")
        length = math.sqrt(sum(value * value for value in self.vector))
        if not math.isclose(length, 1.0, rel_tol=1e-3):
            raise ValueError(
                f"The vector of direction '{self.name}' has length {length:.4g}. Normalise it to 1."
            )
        if not self.minimum < 0 < self.maximum:
            raise ValueError(
                f"Direction '{self.name}' ranges from {self.minimum} to {self.maximum}. "
                "The range must contain 0 inside."
            )


def find_direction(directions: Sequence[Direction], name: str, owner: str) -> Direction:
    """The direction called `name`.

    Raises:
        ValueError: none has that name; the message lists those there are.
    """
    for direction in directions:
        if direction.name == name:
            return direction
    names = ", ".join(direction.name for direction in directions) or "none"
    raise ValueError(f"Direction '{name}' is not in {owner}. It has: {names}.")


def check_amount(name: str, amount: object) -> float:
    """`amount` as a finite float.

    Raises:
        ValueError: not a number, NaN or infinite.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise ValueError(
            f"The amount of direction '{name}' is {amount!r}. Give a number of standard deviations."
        )
    if not math.isfinite(amount):
        raise ValueError(f"The amount of direction '{name}' is {amount}. Give a finite number.")
    return float(amount)


def apply_directions(
    z: Tensor, std: Tensor, directions: Sequence[Direction], amounts: Mapping[str, float]
) -> Tensor:
    """z + sum over directions of amount * std * vector; amounts of 0 leave z bit-identical.

    Args:
        z: (B, N), raw code units; not changed.
        std: (N,), standard deviation of each latent over the training data.
        amounts: direction name -> amount in standard deviations; none may be unknown.
    """
    chosen = {name: amount for name, amount in amounts.items() if amount != 0}
    if not chosen:
        return z
    shift = torch.zeros_like(std, dtype=torch.float64)
    for direction in directions:  # a fixed order of summation, whatever the mapping's order
        if direction.name in chosen:
            vector = torch.tensor(direction.vector, dtype=torch.float64, device=std.device)
            shift = shift + chosen[direction.name] * std.double() * vector
    return z + shift.to(device=z.device, dtype=z.dtype)
