"""Configuration of the feedback: what the diffusion branch tells the co-pilot, and how loudly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from comfyui_cldis.model.config import require

FeedbackPart = Literal["gradient", "per_dimension", "per_timestep", "second_decoder", "second_unet"]
PARTS: tuple[str, ...] = get_args(FeedbackPart)
SOURCES = ("gradient", "second_decoder", "second_unet")  # of a gradient: one at most


@dataclass(frozen=True)
class FeedbackConfig:
    """The way back from the diffusion branch to the co-pilot (docs/method.md, section 4).

    Attributes:
        parts: any of "gradient" (some items decode the co-pilot's own sample, and the gradient of
            the diffusion loss reaches it), "per_dimension" (dimensions that the diffusion decoder
            makes much of pay less KL), "per_timestep" (with "gradient": strong dimensions are
            shown to the decoder at all timesteps, weaker ones only at the cleaner of them),
            "second_decoder" and "second_unet" (controls, no diffusion: the gradient of a second
            decoder of the co-pilot's kind, or of the diffusion decoder's, which draws in one
            pass). None of them leaves the loop open.
        share: share of the items that decode the co-pilot's sample.
        gain: factor on the gradient; 1 weighs the diffusion loss as a likelihood in nats, of which
            the co-pilot hears share * (1 - loop.code_dropout) in expectation, since the loss is a
            mean over all items. The controls drop no code: theirs is 1 / (1 - loop.code_dropout)
            as large.
        warmup: share of the run over which the gain grows from 0. Counted from the first step, so
            it has no effect where the co-pilot's own warm-up (loop.copilot_warmup_steps) is longer.
        exponent, largest_weight: of "per_dimension": the weight of a dimension's KL is
            (usual rate / its rate) ** exponent, within [1 / largest_weight, largest_weight].
        usage_every_steps: distance between two measurements of what the decoder uses.
        usage_decay: of the moving average over them.
    """

    parts: tuple[str, ...] = ("gradient",)
    share: float = 0.5
    gain: float = 1.0
    warmup: float = 0.05
    exponent: float = 0.5
    largest_weight: float = 2.0
    usage_every_steps: int = 20
    usage_decay: float = 0.9

    def __post_init__(self) -> None:
        for part in self.parts:
            require(
                part in PARTS,
                f"feedback.parts has '{part}'",
                f"Use any of {', '.join(PARTS)}, or an empty list",
            )
        require(
            len({*self.parts}) == len(self.parts),
            f"feedback.parts names a part twice: {', '.join(self.parts)}",
            "Name each once",
        )
        require(
            "per_timestep" not in self.parts or "gradient" in self.parts,
            "feedback.parts has 'per_timestep', which restricts the gradient, without 'gradient'",
            "Add 'gradient'",
        )
        heard = [part for part in SOURCES if part in self.parts]
        require(
            len(heard) <= 1,
            f"feedback.parts has {' and '.join(map(repr, heard))}, of which one at most is heard",
            "Choose one of them",
        )
        require(0 < self.share <= 1, f"feedback.share is {self.share}", "Use a value in (0, 1]")
        require(self.gain > 0, f"feedback.gain is {self.gain}", "Use a positive number")
        require(0 <= self.warmup <= 1, f"feedback.warmup is {self.warmup}", "Use a value in [0, 1]")
        require(self.exponent > 0, f"feedback.exponent is {self.exponent}", "Use a positive number")
        require(
            self.largest_weight >= 1,
            f"feedback.largest_weight is {self.largest_weight}",
            "Use 1 or more",
        )
        require(
            self.usage_every_steps >= 1,
            f"feedback.usage_every_steps is {self.usage_every_steps}",
            "Use 1 or more",
        )
        require(
            0 <= self.usage_decay < 1,
            f"feedback.usage_decay is {self.usage_decay}",
            "Use a value in [0, 1)",
        )
