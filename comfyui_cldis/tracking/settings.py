"""What the numbers of content tracking depend on, besides the model, the images and the seed."""

from __future__ import annotations

from dataclasses import dataclass

from .calibration import TARGET_CHANGE
from .flow import FLOWS

DIRECTIONS = ("axes", "model")
VERSIONS = (1, 2)  # of the score; the first is the default


@dataclass(frozen=True)
class TrackingSettings:
    """Scores compare only under equal settings.

    Attributes:
        num_bases: base images, drawn from those given by the seed; at least 2.
        num_steps: steps of the sampler and of the inversion.
        num_coverage: images that A is measured on, at most; 0 takes the figure that the model's
            file records.
        directions: "axes" of the code, or the "model"'s own directions.
        flow: a name of `flow.FLOWS`.
        target_change: CIELAB change that every direction is calibrated to.
        version: of the score. 1 evaluates purity and compactness on each base image by itself; 2
            asks that a direction means the same on all of them, and needs SciPy.

    Raises:
        ValueError: a value out of range.
    """

    num_bases: int = 12
    num_steps: int = 8
    num_coverage: int = 64
    directions: str = "axes"
    flow: str = "dis"
    target_change: float = TARGET_CHANGE
    version: int = VERSIONS[0]

    def __post_init__(self) -> None:
        for name, least in (("num_bases", 2), ("num_steps", 1), ("num_coverage", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}. Use {least} or more.")
        if self.directions not in DIRECTIONS:
            raise ValueError(
                f"directions is '{self.directions}'. Use one of: {', '.join(DIRECTIONS)}."
            )
        if self.flow not in FLOWS:
            raise ValueError(f"The flow method is '{self.flow}'. Use one of: {', '.join(FLOWS)}.")
        if self.version not in VERSIONS:
            raise ValueError(f"version is {self.version}. Use 1, the default, or 2.")
        if not 0 < self.target_change < 100:
            raise ValueError(
                f"target_change is {self.target_change}. Use more than 0 and less than 100 CIELAB "
                "units; 10 is a change that nobody overlooks."
            )


FAST = TrackingSettings(num_bases=6, num_steps=4, num_coverage=32)
