"""Configuration of a training run: presets in TOML, command-line overrides, strict keys."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from comfyui_cldis.diffusion.schedule import ScheduleConfig
from comfyui_cldis.model.config import ModelConfig, from_mapping, require

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the standard library has it from 3.11
    import tomli as tomllib

PRESETS_FOLDER = Path(__file__).parent / "presets"
FeedbackMode = Literal["information", "ramp", "fixed"]


@dataclass(frozen=True)
class LoopConfig:
    """The closed loop between co-pilot and diffusion branch (docs/method.md, section 4).

    Attributes:
        feedback: how the co-pilot's capacity C is set: "information" (from what the decoder
            uses of z), "ramp" (linear, Burgess et al. 2018), "fixed" (C_max from the start).
        capacity_minimum, capacity_maximum: range of C in nats per image.
        ramp_fraction: share of the run over which the ramp goes from minimum to maximum.
        distillation_weight: weight of L_dt (mean over latent dimensions, nats).
        distillation_warmup: share of the run over which that weight grows from 0.
        code_dropout: probability that a training item gets the null condition.
        residual_dropout: probability that the residual code is dropped.
        snr_clip, snr_floor: clip of the SNR in the loss weight (`diffusion.weighting`).
        copilot_warmup_steps: steps at the start that train only the co-pilot; a short run uses
            at most a quarter of its steps.
        information_every_steps: distance between two information estimates.
        control_every_steps: distance between two updates of C.
    """

    feedback: FeedbackMode = "information"
    capacity_minimum: float = 1.0
    capacity_maximum: float = 25.0
    ramp_fraction: float = 0.4
    distillation_weight: float = 0.05
    distillation_warmup: float = 0.05
    code_dropout: float = 0.15
    residual_dropout: float = 0.5
    snr_clip: float = 5.0
    snr_floor: float = 1.0
    copilot_warmup_steps: int = 0
    information_every_steps: int = 10
    control_every_steps: int = 50

    def __post_init__(self) -> None:
        require(
            self.feedback in get_args(FeedbackMode),
            f"loop.feedback is '{self.feedback}'",
            f"Use one of {', '.join(get_args(FeedbackMode))}",
        )
        require(
            0 < self.capacity_minimum <= self.capacity_maximum,
            f"loop.capacity ranges from {self.capacity_minimum} to {self.capacity_maximum}",
            "The minimum must be positive and not above the maximum",
        )
        for name in ("code_dropout", "residual_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"loop.{name} is {value}", "Use a value in [0, 1)")
        for name in ("information_every_steps", "control_every_steps"):
            value = getattr(self, name)
            require(value >= 1, f"loop.{name} is {value}", "Use 1 or more")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Attributes:
        steps: optimizer steps of the run.
        batch_size: images per step.
        seed: everything random derives from (seed, step).
        num_images: how many images to take from the source (heads: to render); 0 means all.
        learning_rate, copilot_learning_rate: of AdamW for the diffusion branch and the co-pilot.
        warmup_steps: linear growth of both rates at the start.
        decay_fraction: share of the run, at its end, over which both rates fall to a tenth
            along a cosine.
        weight_decay, clip_norm: of the diffusion branch.
        ema_decay: decay of the weight average; the warm-up min(ema_decay, (1+n)/(10+n)) applies.
        save_every_steps, sample_every_steps, log_every_steps: intervals; 0 switches samples off.
        use_compile: torch.compile the training step.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    steps: int = 20_000
    batch_size: int = 32
    seed: int = 0
    num_images: int = 0
    learning_rate: float = 3e-4
    copilot_learning_rate: float = 5e-4
    warmup_steps: int = 200
    decay_fraction: float = 0.3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    save_every_steps: int = 500
    sample_every_steps: int = 1000
    log_every_steps: int = 10
    use_compile: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "save_every_steps", "log_every_steps"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}", "Use 1 or more")
        for name in ("num_images", "sample_every_steps", "warmup_steps", "seed"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}", "Use 0 or more")
        for name in ("learning_rate", "copilot_learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value > 0, f"{name} is {value}", "Use a positive number")
        require(0 < self.ema_decay < 1, f"ema_decay is {self.ema_decay}", "Use a value in (0, 1)")

    @property
    def copilot_warmup_steps(self) -> int:
        """Steps that train only the co-pilot: as configured, at most a quarter of the run."""
        return min(self.loop.copilot_warmup_steps, self.steps // 4)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from a nested mapping. Raises: ValueError naming unknown keys."""
        parts = dict(values)
        if isinstance(parts.get("model"), Mapping):
            parts["model"] = ModelConfig.from_dict(parts["model"])
        if isinstance(parts.get("schedule"), Mapping):
            parts["schedule"] = ScheduleConfig.from_dict(parts["schedule"])
        if isinstance(parts.get("loop"), Mapping):
            parts["loop"] = from_mapping(LoopConfig, parts["loop"], "the loop configuration")
        return from_mapping(cls, parts, "the training configuration")

    def with_overrides(self, steps: int | None, seed: int | None) -> TrainConfig:
        """The same run with another number of steps or seed where they are given."""
        config = self if steps is None else replace(self, steps=steps)
        return config if seed is None else replace(config, seed=seed)


def preset_names() -> list[str]:
    """Names of the bundled presets."""
    return sorted(path.stem for path in PRESETS_FOLDER.glob("*.toml"))


def load_preset(name: str) -> TrainConfig:
    """The preset called `name`, or the TOML file of that path.

    Raises:
        ValueError: no such preset or file, or a file that is not valid.
    """
    path = Path(name) if name.endswith(".toml") else PRESETS_FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"There is no preset '{name}'. Use one of {', '.join(preset_names())}, "
            "or the path of a .toml file."
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            f"The preset {path.name} is not valid TOML: {error}. Correct it."
        ) from error
    return TrainConfig.from_dict(values)
