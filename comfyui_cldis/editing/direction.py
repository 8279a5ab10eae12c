"""Named directions in the semantic code, and how amounts along them are applied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import SupportsFloat

import torch
from torch import Tensor

from ..wording import did_you_mean, nearest_name
from .amount_scale import AmountScale
from .code_path import CodePath
from .facts import DirectionQuality

LIMIT = 10  # how many times as far as its range a direction may be moved
MAX_QUALITIES, MAX_QUALITY_NAME = 32, 64  # figures of one direction, characters of a name
THUMBNAIL_SIDES = (8, 128)  # smallest and largest, in pixels


@dataclass(frozen=True)
class Direction:
    """One slider.

    Attributes:
        name: unique within a model.
        vector: (N,) of unit length, in units of the latent standard deviation per dimension.
        minimum, maximum: safe amounts in standard deviations, minimum < 0 < maximum.
        scale: where an amount lies on the direction, if not at itself; a slider's mean step is one
            standard deviation all the same. Amounts on a scale do not add up over several edits.
        negative_label, positive_label: what the two ends look like.
        effect: mean absolute change of the image, in [0, 2] image units, between -1 and +1
            standard deviation.
        quality: measured figures, at most 32; they are stored nowhere else.
        path: how the code moves when it is no straight line; `vector` is then its straight
            approximation. Amounts along a path do not add up over several edits.
        thumbnails: uint8 (3, S, S, 3), sRGB: one image at the negative end, at 0 and at the
            positive end, 8 <= S <= 128; left out when directions are compared.
        file_name: what the model file calls it, where a person has given it another name; "" else.
        file_labels: its ends in the model file, then.
        is_flipped: turned round against `file_name`, whose amounts keep their meaning.
    """

    name: str
    vector: tuple[float, ...] = field(repr=False)
    minimum: float
    maximum: float
    negative_label: str = ""
    positive_label: str = ""
    effect: float = 0.0
    quality: DirectionQuality = field(default_factory=DirectionQuality)
    path: CodePath | None = None
    scale: AmountScale | None = None
    thumbnails: Tensor | None = field(default=None, compare=False, repr=False)
    file_name: str = ""
    file_labels: tuple[str, str] = ("", "")
    is_flipped: bool = False

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
        _check_quality(self.name, self.quality.to_dict())
        if self.path is not None and len(self.path.points[0]) != len(self.vector):
            raise ValueError(
                f"The path of direction '{self.name}' has points of {len(self.path.points[0])} "
                f"numbers, its vector {len(self.vector)}. Give both for the same code."
            )
        if self.thumbnails is not None:
            _check_thumbnails(self.name, self.thumbnails)

    def displacement(self, amount: float) -> list[float]:
        """(N,) what `amount` adds to the code, in standard deviations of each dimension."""
        distance = amount if self.scale is None else self.scale.distance(amount)
        if self.path is not None:
            return self.path.displacement(distance)
        return [distance * value for value in self.vector]

    def limited(self, amount: float) -> float:
        """The amount nearest to `amount` within `LIMIT` times the range.

        Far beyond that the code is of no size that the networks have met, and their arithmetic
        overflows: the image would be NaN.
        """
        return min(max(amount, LIMIT * self.minimum), LIMIT * self.maximum)

    def beyond_range(self, amount: float) -> str:
        """What to say of an amount outside of the range; empty for one within it."""
        if self.minimum <= amount <= self.maximum:
            return ""
        limited = self.limited(amount)
        consequence = "The image may break."
        if limited != amount:
            consequence = f"Applied is {limited:.2f}: at most {LIMIT} times the range."
        return (
            f"{amount:g} is outside the range of '{self.name}' seen in training, "
            f"{self.minimum:.2f} to {self.maximum:.2f}. {consequence}"
        )

    def as_in_file(self) -> Direction:
        """The direction under the name, and in the sense, that the model file gives it."""
        if not self.file_name:
            return self
        negative, positive = self.file_labels
        return replace(
            self.reversed() if self.is_flipped else self,
            name=self.file_name,
            negative_label=negative,
            positive_label=positive,
            file_name="",
            file_labels=("", ""),
            is_flipped=False,
        )

    def called(self, name: str, labels: tuple[str, str], *, is_flipped: bool = False) -> Direction:
        """The direction of a model file as a person calls it; `as_in_file` is the way back.

        Args:
            labels: of the negative and the positive end, as they are afterwards.
            is_flipped: turn it round.
        """
        own = self.as_in_file()
        return replace(
            own.reversed() if is_flipped else own,
            name=name,
            negative_label=labels[0],
            positive_label=labels[1],
            file_name=own.name,
            file_labels=(own.negative_label, own.positive_label),
            is_flipped=is_flipped,
        )

    def reversed(self) -> Direction:
        """The same slider turned round: what an amount did, its negative does now."""
        return replace(
            self,
            vector=tuple(0.0 - value for value in self.vector),  # no -0.0
            minimum=-self.maximum,
            maximum=-self.minimum,
            negative_label=self.positive_label,
            positive_label=self.negative_label,
            path=None if self.path is None else self.path.reversed(),
            scale=None if self.scale is None else self.scale.reversed(),
            thumbnails=None if self.thumbnails is None else self.thumbnails.flip(0),
        )


def _check_quality(name: str, quality: Mapping[str, float]) -> None:
    if len(quality) > MAX_QUALITIES:
        raise ValueError(
            f"Direction '{name}' has {len(quality)} quality figures. Keep at most {MAX_QUALITIES}."
        )
    for key, value in quality.items():
        if not isinstance(key, str) or not 0 < len(key) <= MAX_QUALITY_NAME:
            raise ValueError(
                f"Direction '{name}' has a quality figure named {str(key)[:MAX_QUALITY_NAME]!r}. "
                f"Use a text of 1 to {MAX_QUALITY_NAME} characters."
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError(
                f"The quality figure '{key}' of direction '{name}' is {str(value)[:40]}. "
                "Give a finite number."
            )


def _check_thumbnails(name: str, thumbnails: Tensor) -> None:
    shape, (smallest, largest) = tuple(thumbnails.shape), THUMBNAIL_SIDES
    fits = len(shape) == 4 and shape[0] == shape[3] == 3 and shape[1] == shape[2]
    if thumbnails.dtype != torch.uint8 or not fits or not smallest <= shape[1] <= largest:
        raise ValueError(
            f"The thumbnails of direction '{name}' are {thumbnails.dtype} of shape {shape}. "
            f"Give torch.uint8 of shape (3, S, S, 3), S from {smallest} to {largest}."
        )


def find_direction(
    directions: Sequence[Direction], name: str, owner: str, why_none: str = ""
) -> Direction:
    """The direction called `name`, or the one that the model file calls so, as it is there.

    So what was written down before a slider got another name, or was turned round, means the same
    afterwards. Errors as of `find_slider`.
    """
    found = find_slider(directions, name, owner, why_none)
    return found if found.name == name else found.as_in_file()


def find_slider(
    directions: Sequence[Direction], name: str, owner: str, why_none: str = ""
) -> Direction:
    """The one of `directions` that is called `name`, or else the one that its file calls so.

    Args:
        owner: the model, as the message is to call it.
        why_none: where there are none: the reason as a clause, and a sentence on what to do.

    Raises:
        ValueError: none has that name; the message lists those there are, and names the one that
            is spelt nearly so.
    """
    for direction in directions:
        if direction.name == name:
            return direction
    for direction in directions:
        if name and direction.file_name == name:
            return direction
    fact = f"Direction '{name}' is not in {owner}"
    names = [direction.name for direction in directions]
    listed = ", ".join(names) or "none"
    if hint := did_you_mean(nearest_name(name, names)):
        raise ValueError(f"{fact}, which has: {listed}.{hint}")
    if why_none:
        raise ValueError(f"{fact}, which has none, as {why_none}")
    raise ValueError(f"{fact}. It has: {listed}.")


def count_monotone(directions: Sequence[Direction]) -> int | None:
    """How many of the directions are monotone; None when there are some and none was measured."""
    known = [each.quality.is_monotone for each in directions]
    return None if known and all(each is None for each in known) else known.count(True)


def as_number(value: object) -> float | None:
    """`value` as a float where it is one number of any kind, else None.

    A number is what Python, NumPy and torch call one: int, float, a NumPy scalar, an array or a
    tensor of one element on any device. Truth values and texts are none. What is too large for a
    float is infinite.
    """
    item = getattr(value, "item", None)
    if callable(item) and hasattr(value, "shape"):
        try:
            value = item()
        except (TypeError, ValueError, RuntimeError):  # more or fewer elements than one
            return None
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return None


def check_amount(name: str, amount: object) -> float:
    """`amount` as a finite float.

    Args:
        amount: a number as `as_number` knows it.

    Raises:
        ValueError: not a number, NaN or infinite.
    """
    number = as_number(amount)
    if number is None:
        raise ValueError(
            f"The amount of direction '{name}' is {amount!r}. Give a number of standard deviations."
        )
    if not math.isfinite(number):
        raise ValueError(f"The amount of direction '{name}' is {number}. Give a finite number.")
    return number


def apply_directions(
    z: Tensor, std: Tensor, directions: Sequence[Direction], amounts: Mapping[str, float]
) -> Tensor:
    """z + sum over directions of std * displacement(amount); amounts of 0 leave z bit-identical.

    Args:
        z: (B, N), raw code units; not changed.
        std: (N,), standard deviation of each latent over the training data.
        amounts: direction name -> amount in standard deviations; none may be unknown.
    """
    chosen = {name: amount for name, amount in amounts.items() if amount != 0}
    if not chosen:
        return z
    std = std.cpu().double()  # on the CPU: some devices know no float64
    shift = torch.zeros_like(std)
    for direction in directions:  # a fixed order of summation, whatever the mapping's order
        if direction.name in chosen:
            moved = direction.displacement(chosen[direction.name])
            shift = shift + std * torch.tensor(moved, dtype=torch.float64)
    return z + shift.to(z.dtype).to(z.device)
