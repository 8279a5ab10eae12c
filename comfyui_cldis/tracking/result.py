"""The result of content tracking: the score, its parts, and a row for each direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .effects import CHANNELS

DIGITS = 6


@dataclass(frozen=True)
class Evidence:
    """What a direction does to one base item, for a sheet.

    Attributes:
        amounts: where the frames lie, in standard deviations, ascending.
        frames: images (len(amounts), C, H, W) in [-1, 1].
        motion: (2, H, W), pixels of the measured size, from the first frame to the last.
        recoloured: (H, W), CIELAB distance after following the motion.
        found: (H, W) bool, False where content was lost.
        where: (GRID, GRID), scaled effect per cell, mean over all bases.
    """

    amounts: tuple[float, ...]
    frames: Tensor
    motion: Tensor
    recoloured: Tensor
    found: Tensor
    where: Tensor


@dataclass(frozen=True)
class DirectionTrack:
    """One direction. Figures other than `step` and `change` are None when it is not active.

    Attributes:
        step: calibrated amount to each side, in standard deviations; the largest one allowed when
            even that changes too little.
        change: CIELAB change between the images at -step and +step, mean over the bases.
        purity: 1 when it moves a single pseudo-factor, the same one on all bases (version 1: when
            it moves a single one on each).
        nearest, similarity: the direction with the most similar mean effect, and the cosine.
        consistency, persistence, monotonicity: its own S, T and M.
        channels: share of each of CHANNELS in its scaled effect.
    """

    name: str
    is_active: bool
    step: float
    change: float
    purity: float | None = None
    nearest: str | None = None
    similarity: float | None = None
    consistency: float | None = None
    persistence: float | None = None
    monotonicity: float | None = None
    channels: Mapping[str, float] = field(default_factory=dict)
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, without the evidence."""
        return {
            "name": self.name,
            "active": self.is_active,
            "step": _rounded(self.step),
            "change": _rounded(self.change),
            "purity": _rounded(self.purity),
            "nearest": self.nearest,
            "similarity": _rounded(self.similarity),
            "consistency": _rounded(self.consistency),
            "persistence": _rounded(self.persistence),
            "monotonicity": _rounded(self.monotonicity),
            "channels": {name: _rounded(share) for name, share in self.channels.items()},
        }


@dataclass(frozen=True)
class Tracking:
    """The score; docs/tracking.md defines its parts, which all lie in [0, 1].

    Attributes:
        cts: A (P Q X)^(1/3); 0 with fewer than two active directions; None when A is unknown.
        separation: (P Q X)^(1/3), the score without A.
        purity, compactness, distinctness: P, Q and X; 0 with fewer than two active directions.
        coverage: A, or None.
        consistency, persistence, monotonicity: S, T and M, means over the active directions; None
            without one (S also with a single base). They may warn, but do not rank: a model that
            hardly does anything scores high.
        directions: one for each direction given, in that order.
        settings: all that the numbers depend on.
        num_images: how many images were drawn, without those for A.
    """

    cts: float | None
    separation: float
    purity: float
    compactness: float
    distinctness: float
    coverage: float | None
    consistency: float | None
    persistence: float | None
    monotonicity: float | None
    directions: tuple[DirectionTrack, ...]
    settings: Mapping[str, Any]
    num_images: int

    @property
    def version(self) -> int:
        """Of the score; scores of different versions do not compare."""
        return self.settings["version"]

    @property
    def num_active(self) -> int:
        """How many directions change the image enough."""
        return sum(direction.is_active for direction in self.directions)

    def to_json(self) -> dict[str, Any]:
        """JSON-able; the same for the same model, images, directions and settings."""
        return {
            "version": self.version,
            "cts": _rounded(self.cts),
            "separation": _rounded(self.separation),
            "purity": _rounded(self.purity),
            "compactness": _rounded(self.compactness),
            "distinctness": _rounded(self.distinctness),
            "coverage": _rounded(self.coverage),
            "consistency": _rounded(self.consistency),
            "persistence": _rounded(self.persistence),
            "monotonicity": _rounded(self.monotonicity),
            "num_active": self.num_active,
            "directions": [direction.to_json() for direction in self.directions],
            "channels": list(CHANNELS),
            "settings": dict(self.settings),
            "num_images": self.num_images,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
