"""A model together with the facts that editing needs: latent statistics, directions, data card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

import torch
from torch import Tensor

from ..diffusion.schedule import NoiseSchedule
from ..model import Networks
from ..wording import printable
from .direction import Direction, find_direction, find_slider
from .facts import IMPORTED, ModelFacts
from .verdict import why_none

COLUMNS = 64  # of codes that are sorted at a time
STD_LIMIT = 1e6  # no code is spread so far
STATISTICS = "statistics"  # how they are known of an imported model, in its facts
ASSUMED = "assumed"  # not at all, so they are mean 0 and deviation 1


@dataclass(frozen=True)
class LatentStatistics:
    """Statistics of the code over the training set, (N,) float32 each, in raw code units.

    Attributes:
        mean, std: mean and standard deviation.
        low, high: 0.5 and 99.5 % quantiles.

    Raises: ValueError for a deviation below 0 or of a million and more, or quantiles that are
        exchanged. Values that are no numbers are left to who reads or measures them.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        if bool(((self.std < 0) | (self.std >= STD_LIMIT)).any()):
            raise ValueError(f"a standard deviation of the code is not from 0 to {STD_LIMIT:,.0f}")
        if bool((self.low > self.high).any()):
            raise ValueError("the 0.5 % quantile of a scalar of the code is above its 99.5 %")

    @classmethod
    def from_codes(cls, codes: Tensor) -> LatentStatistics:
        """Measure on codes (n, N)."""
        ends = torch.tensor([0.005, 0.995]).double()
        # a few columns at a time: torch.quantile takes no more than 16 million numbers
        parts = [part.double() for part in codes.split(COLUMNS, dim=1)]
        quantiles = torch.cat([torch.quantile(part, ends, dim=0) for part in parts], dim=1)
        return cls(
            mean=torch.cat([part.mean(0) for part in parts]).float(),
            std=torch.cat([part.std(0) for part in parts]).float(),
            low=quantiles[0].float(),
            high=quantiles[1].float(),
        )


@dataclass(frozen=True)
class EditableModel:
    """Everything a checkpoint holds, ready to use.

    Attributes:
        networks: the networks; their device and dtype are where and how computations run.
        schedule: the noise schedule they were trained with.
        statistics: latent statistics.
        directions: sliders, strongest effect first.
        facts: what is recorded of it; a direction's quality is in the direction.
    """

    networks: Networks
    schedule: NoiseSchedule
    statistics: LatentStatistics
    directions: tuple[Direction, ...]
    facts: ModelFacts = field(default_factory=ModelFacts)

    @property
    def name(self) -> str:
        """Name of the model, for messages."""
        return printable(self.facts.name) or "the model"

    @property
    def _quoted_name(self) -> str:
        return f"'{self.name}'" if self.facts.name else self.name

    @cached_property
    def fingerprint(self) -> str:
        """Tells codes of this model from those of others: a hash of its latent statistics, which
        are the same in every dtype and whatever its directions are. "" where they were never
        measured: mean 0 and deviation 1.
        """
        measured = torch.stack([self.statistics.mean, self.statistics.std]).float().cpu()
        if not measured[0].any() and bool((measured[1] == 1).all()):
            return ""
        return sha256(measured.numpy().tobytes()).hexdigest()[:16]

    def direction(self, name: str) -> Direction:
        """The direction called `name`, also by its name in the file (`find_direction`).

        Raises: ValueError naming the model's directions, or saying why there are none.
        """
        return find_direction(self.directions, name, self._quoted_name, why_none(self))

    def slider(self, name: str) -> Direction:
        """The one of `directions` that `name` belongs to; errors as of `direction`."""
        return find_slider(self.directions, name, self._quoted_name, why_none(self))

    def renamed(
        self, old: str, new: str, labels: tuple[str, str] | None = None, *, reverse: bool = False
    ) -> EditableModel:
        """The same model with direction `old` called `new` in its file, with other end labels if
        given.

        Args:
            labels: of the negative and the positive end; with `reverse`, as they are afterwards.
            reverse: turn the direction round.

        Raises:
            ValueError: no direction `old`, or another one is called `new` already.
        """
        direction = self.slider(old)
        others = [other for other in self.directions if other is not direction]
        if any(new in (other.name, other.file_name) for other in others):
            raise ValueError(f"Another direction of {self.name} is called '{new}'. Choose another.")
        turned = direction.reversed() if reverse else direction
        negative, positive = labels or (turned.negative_label, turned.positive_label)
        changed = replace(
            turned,
            name=new,
            negative_label=negative,
            positive_label=positive,
            file_name="",
            file_labels=("", ""),
            is_flipped=False,
        )
        return replace(
            self, directions=tuple(changed if d is direction else d for d in self.directions)
        )

    def without(self, names: Collection[str]) -> EditableModel:
        """The same model without the directions called `names`.

        Raises:
            ValueError: a name that no direction has, or no direction would be left.
        """
        dropped = {self.slider(name).name for name in names}
        left = tuple(each for each in self.directions if each.name not in dropped)
        if self.directions and not left:
            raise ValueError(f"That would leave {self.name} without directions. Keep at least one.")
        return replace(self, directions=left)


def are_assumed(model: EditableModel) -> bool:
    """Whether the statistics of a model were not known when it was imported, nor since."""
    imported = model.facts.other.get(IMPORTED)
    return isinstance(imported, Mapping) and imported.get(STATISTICS) == ASSUMED


def check_measured(model: EditableModel) -> None:
    """Raise ValueError where codes would be drawn from statistics that are assumed."""
    if are_assumed(model):
        raise ValueError(
            f"{model.name} was imported without the statistics of its code, from which codes are "
            "drawn. Import it again with its latent.pkl, or let `cldis navigate` measure them on "
            "a folder of images."
        )
