"""A model together with the facts that editing needs: latent statistics, directions, data card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..diffusion.schedule import NoiseSchedule
from ..model import DiffusionAutoencoder
from .direction import Direction, find_direction

MONOTONE_SHARE = 0.9  # of the images: from here on a direction counts as growing evenly


@dataclass(frozen=True)
class LatentStatistics:
    """Statistics of the code over the training set, (N,) float32 each, in raw code units.

    Attributes:
        mean, std: mean and standard deviation.
        low, high: 0.5 and 99.5 % quantiles.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def from_codes(cls, codes: Tensor) -> LatentStatistics:
        """Measure on codes (n, N)."""
        quantiles = torch.quantile(codes.double(), torch.tensor([0.005, 0.995]).double(), dim=0)
        return cls(
            mean=codes.double().mean(0).float(),
            std=codes.double().std(0).float(),
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
        facts: JSON-able facts: "name", "licence", "data_card", "training", "quality".
    """

    networks: DiffusionAutoencoder
    schedule: NoiseSchedule
    statistics: LatentStatistics
    directions: tuple[Direction, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the model, for messages."""
        return str(self.facts.get("name", "the model"))

    def direction(self, name: str) -> Direction:
        """The direction called `name`. Raises: ValueError naming the model's directions."""
        return find_direction(self.directions, name, self.name)

    def renamed(
        self, old: str, new: str, labels: tuple[str, str] | None = None, *, reverse: bool = False
    ) -> EditableModel:
        """The same model with direction `old` called `new`, with other end labels if given.

        Args:
            labels: of the negative and the positive end; with `reverse`, as they are afterwards.
            reverse: turn the direction round.

        Raises:
            ValueError: no direction `old`, or another one is called `new` already.
        """
        direction = self.direction(old)
        if new != old and any(other.name == new for other in self.directions):
            raise ValueError(f"Another direction of {self.name} is called '{new}'. Choose another.")
        turned = direction.reversed() if reverse else direction
        negative, positive = labels or (turned.negative_label, turned.positive_label)
        changed = replace(turned, name=new, negative_label=negative, positive_label=positive)
        facts = dict(self.facts)
        quality = facts.get("quality")
        if isinstance(quality, Mapping) and isinstance(quality.get("monotone_share"), Mapping):
            shares = {
                new if name == old else name: share
                for name, share in quality["monotone_share"].items()
            }
            facts["quality"] = {**quality, "monotone_share": shares}
        return replace(
            self,
            directions=tuple(changed if d is direction else d for d in self.directions),
            facts=facts,
        )

    def without(self, names: Collection[str]) -> EditableModel:
        """The same model without the directions called `names`.

        Raises:
            ValueError: a name that no direction has, or no direction would be left.
        """
        dropped = {self.direction(name).name for name in names}
        left = tuple(each for each in self.directions if each.name not in dropped)
        if self.directions and not left:
            raise ValueError(f"That would leave {self.name} without directions. Keep at least one.")
        facts = dict(self.facts)
        quality = facts.get("quality")
        if isinstance(quality, Mapping) and isinstance(quality.get("monotone_share"), Mapping):
            shares = {k: v for k, v in quality["monotone_share"].items() if k not in dropped}
            facts["quality"] = {**quality, "monotone_share": shares}
            if "num_visible_monotone" in quality:
                count = sum(share >= MONOTONE_SHARE for share in shares.values())
                facts["quality"]["num_visible_monotone"] = count
        return replace(self, directions=left, facts=facts)
