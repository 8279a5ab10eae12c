"""Configuration of a training run: presets in TOML, command-line overrides, strict keys."""

from __future__ import annotations

import codecs
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from comfyui_cldis.diffusion.schedule import ScheduleConfig
from comfyui_cldis.editing.framing import ResizeRule
from comfyui_cldis.model.config import ModelConfig, from_mapping, require
from comfyui_cldis.wording import did_you_mean, nearest_name

from .feedback import FeedbackConfig
from .objective import ObjectiveConfig

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the standard library has it from 3.11
    import tomli as tomllib

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PRESETS_FOLDER = Path(__file__).parent / "presets"
CapacityCourse = Literal["ramp", "schedule", "fixed"]
Bottleneck = Literal["controller", "distance", "constant"]
Precision = Literal["fp32", "bf16"]
AverageProfile = Literal["constant", "power"]
Finder = Literal[
    "axes",
    "pca",
    "varimax",
    "ica",
    "sparse",
    "joint",
    "weights",
    "jacobian",
    "learned",
    "flow",
    "auto",
]


def _one_of(name: str, value: object, allowed: Any) -> None:
    values = get_args(allowed)
    require(value in values, f"{name} is '{value}'", f"Use one of {', '.join(map(str, values))}")


@dataclass(frozen=True)
class LoopConfig:
    """The co-pilot, its capacity, and the distillation (docs/method.md, sections 3 and 4).

    Attributes:
        capacity_course: how the co-pilot's capacity C grows: "ramp" (linear, Burgess et al. 2018),
            "schedule" (the shape of the reverse posterior's KL, from noisy to clean), "fixed"
            (C_max from the start).
        bottleneck: how the co-pilot's KL is held: "controller" (kl_weight moves until KL follows
            C), "distance" (distance_weight * |KL - C|, Burgess et al. 2018), "constant"
            (kl_weight * KL, Higgins et al. 2017; C plays no part).
        kl_weight: weight of the KL with bottleneck "constant", its first value with "controller".
        distance_weight: per nat, with bottleneck "distance".
        capacity_minimum, capacity_maximum: range of C in nats per image.
        ramp_fraction: share of the run over which the ramp goes from minimum to maximum.
        distillation_weight: weight of L_dt (mean over latent dimensions, nats); 0 trains the
            plain diffusion autoencoder, with a co-pilot that it does not listen to. It grows
            from 0 over the first twentieth of the run, counted from the first step, which has no
            effect where copilot_warmup_steps is longer.
        distillation_error_variance: smallest variance of the co-pilot in whose units an error of
            the encoder's mean counts in L_dt; 0 is the plain KL, whose gradient the sharpest
            dimensions take for themselves.
        distillation_gradient_share: share of the gradient of L_dt that reaches the co-pilot.
        code_dropout: probability that a training item gets the null condition.
        skip_dropout: probability that a skip connection of the U-Net is dropped for an item.
        copilot_warmup_steps: steps at the start that train only the co-pilot; a short run uses
            at most a quarter of its steps.
        copilot_only: train nothing but the co-pilot (a row of the ablations).
        copilot_updates: updates of the co-pilot per step, each on images of its own; the first
            shares them with the diffusion branch. The co-pilot is the cheaper part by far and
            needs more images to take factors apart.
        control_every_steps: distance between two updates of C.
    """

    capacity_course: CapacityCourse = "ramp"
    bottleneck: Bottleneck = "controller"
    kl_weight: float = 1.0
    distance_weight: float = 1000.0
    capacity_minimum: float = 1.0
    capacity_maximum: float = 25.0
    ramp_fraction: float = 0.4
    distillation_weight: float = 0.05
    distillation_error_variance: float = 0.01
    distillation_gradient_share: float = 0.0
    code_dropout: float = 0.15
    skip_dropout: float = 0.0
    copilot_warmup_steps: int = 0
    copilot_only: bool = False
    copilot_updates: int = 1
    control_every_steps: int = 50

    @property
    def has_capacity(self) -> bool:
        """Whether C plays a part."""
        return self.bottleneck != "constant"

    def __post_init__(self) -> None:
        _one_of("loop.capacity_course", self.capacity_course, CapacityCourse)
        _one_of("loop.bottleneck", self.bottleneck, Bottleneck)
        require(
            0 < self.capacity_minimum <= self.capacity_maximum,
            f"loop.capacity ranges from {self.capacity_minimum} to {self.capacity_maximum}",
            "The minimum must be positive and not above the maximum",
        )
        for name in ("code_dropout", "skip_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"loop.{name} is {value}", "Use a value in [0, 1)")
        for name in ("distillation_error_variance", "distillation_gradient_share", "ramp_fraction"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"loop.{name} is {value}", "Use a value in [0, 1]")
        for name in ("kl_weight", "distance_weight"):
            value = getattr(self, name)
            require(value > 0, f"loop.{name} is {value}", "Use a positive number")
        for name in ("copilot_updates", "control_every_steps"):
            value = getattr(self, name)
            require(value >= 1, f"loop.{name} is {value}", "Use 1 or more")
        for name in ("copilot_warmup_steps", "distillation_weight"):
            value = getattr(self, name)
            require(value >= 0, f"loop.{name} is {value}", "Use 0 or more")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run. Its numbers are finite.

    Attributes:
        steps: optimizer steps of the run.
        batch_size: images per optimizer step, over all devices and accumulation steps together,
            so that a run means nearly the same on any hardware (`trainer.training.trainer`).
        accumulation_steps: parts a device cuts its share of the batch into, one after the other;
            more parts need less memory. An objective that compares images sees those of a part.
        precision: "fp32", or "bf16" (mixed precision; weights and optimizer stay in fp32).
        seed: everything random derives from (seed, step).
        num_images: how many images to take from the source (heads: to render); 0 means all.
        held_out: share of the images that the training never sees, so that the quality can be
            measured on them: at least 32, at most 256, and none of fewer than 320 images; 0
            switches it off. Built-in sets draw other images for that instead.
        resize: how an image that is not square becomes square: "crop", "pad" or "stretch".
        flip: mirror each training image left to right with probability 1/2. Off by default:
            a mirrored image turns the head the other way.
        learning_rate, copilot_learning_rate: of AdamW for the diffusion branch and the co-pilot.
        warmup_steps: linear growth of both rates at the start.
        decay_fraction: share of the run, at its end, over which both rates fall to a tenth
            along a cosine.
        weight_decay: of the diffusion branch.
        clip_norm: longest gradient of the diffusion branch; a longer one is shortened to it. 0
            clips nothing.
        ema: profile of the weight average (`trainer.training.ema`): "constant" or "power".
        ema_decay: decay of the constant profile, after the warm-up (1 + n) / (10 + n).
        save_every_steps, sample_every_steps, log_every_steps: intervals; 0 switches samples off.
        directions: how the exported model's directions are found (docs/navigation.md).
        keep_states: how many states stay in the run's folder, the newest included.
        use_compile: torch.compile the training step, where that works.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    steps: int = 20_000
    batch_size: int = 32
    accumulation_steps: int = 1
    precision: Precision = "fp32"
    seed: int = 0
    num_images: int = 0
    held_out: float = 0.02
    resize: ResizeRule = "crop"
    flip: bool = False
    learning_rate: float = 3e-4
    copilot_learning_rate: float = 5e-4
    warmup_steps: int = 200
    decay_fraction: float = 0.3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: AverageProfile = "constant"
    ema_decay: float = 0.999
    save_every_steps: int = 500
    sample_every_steps: int = 1000
    log_every_steps: int = 10
    directions: Finder = "auto"
    keep_states: int = 2
    use_compile: bool = False

    def __post_init__(self) -> None:
        words = {"precision": Precision, "resize": ResizeRule, "ema": AverageProfile}
        for name, allowed in {**words, "directions": Finder}.items():
            _one_of(name, getattr(self, name), allowed)
        positive = ("steps", "batch_size", "accumulation_steps", "save_every_steps")
        for name in (*positive, "log_every_steps", "keep_states"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}", "Use 1 or more")
        for name in ("num_images", "sample_every_steps", "warmup_steps", "seed"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}", "Use 0 or more")
        require(self.seed < 2**64, f"seed is {self.seed}", "Use less than 2**64")
        for name in ("learning_rate", "copilot_learning_rate"):
            value = getattr(self, name)
            require(value > 0, f"{name} is {value}", "Use a positive number")
        require(
            0 <= self.clip_norm < math.inf,
            f"clip_norm is {self.clip_norm}",
            "Use a positive number, or 0 for no clipping",
        )
        require(
            self.weight_decay >= 0,
            f"weight_decay is {self.weight_decay}",
            "Use 0 or a positive number",
        )
        require(
            0 <= self.decay_fraction <= 1,
            f"decay_fraction is {self.decay_fraction}",
            "Use a value in [0, 1]",
        )
        require(
            0 <= self.held_out <= 0.5, f"held_out is {self.held_out}", "Use a value in [0, 0.5]"
        )
        require(0 < self.ema_decay < 1, f"ema_decay is {self.ema_decay}", "Use a value in (0, 1)")
        require(
            self.batch_size % self.accumulation_steps == 0,
            f"batch_size {self.batch_size} is not divisible by accumulation_steps "
            f"{self.accumulation_steps}",
            "Choose a divisor",
        )
        require(
            self.objective.name != "qlae" or self.loop.bottleneck == "constant",
            f"objective.name is 'qlae', whose code has no KL that loop.bottleneck "
            f"'{self.loop.bottleneck}' could hold",
            "Use loop.bottleneck 'constant'",
        )
        for name, value in flatten(asdict(self)).items():  # a model file holds no others
            is_finite = not isinstance(value, float) or math.isfinite(value)
            require(is_finite, f"{name} is {value}", "Use a finite number")

    @property
    def copilot_warmup_steps(self) -> int:
        """Steps that train only the co-pilot: as configured, at most a quarter of the run."""
        if self.loop.copilot_only:
            return self.steps
        return min(self.loop.copilot_warmup_steps, self.steps // 4)

    @property
    def num_decoded(self) -> int:
        """Images of each batch that the diffusion branch decodes: all of them."""
        return self.batch_size

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def tables(cls) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Settings that are tables of their own, and what reads each."""
        return {
            "model": ModelConfig.from_dict,
            "schedule": ScheduleConfig.from_dict,
            "loop": partial(from_mapping, LoopConfig, where="the loop configuration"),
            "feedback": partial(from_mapping, FeedbackConfig, where="the feedback configuration"),
            "objective": partial(
                from_mapping, ObjectiveConfig, where="the objective configuration"
            ),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from a nested mapping. Raises: ValueError naming unknown keys."""
        parts = dict(values)
        for name, read in cls.tables().items():
            if isinstance(parts.get(name), Mapping):
                parts[name] = read(parts[name])
        return from_mapping(cls, parts, "the training configuration")

    def with_overrides(self, steps: int | None, seed: int | None) -> TrainConfig:
        """The same run with another number of steps or seed where they are given."""
        config = self if steps is None else replace(self, steps=steps)
        return config if seed is None else replace(config, seed=seed)

    def with_values(self, values: Mapping[str, Any]) -> TrainConfig:
        """The same run with values set by dotted key, such as {"loop.kl_weight": 2.0}.

        Of a table, only the keys that are given change.

        Raises:
            ValueError: an unknown key (names the nearest valid one) or a value out of range.
        """
        tree = self.to_dict()
        known = [*flatten(tree)]
        tables = {key.rpartition(".")[0] for key in known}
        for key, value in flatten(values).items():
            if key not in known and key not in tables:
                raise ValueError(_unknown_key(key, known))
            *path, last = key.split(".")
            branch = tree
            for name in path:
                branch = branch[name]
            branch[last] = value
        return self.from_dict(tree)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys: {"loop": {"kl_weight": 2.0}} -> {"loop.kl_weight": 2.0}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _unknown_key(key: str, known: Sequence[str]) -> str:
    """A sentence that names the nearest setting: by the last part of its name, or by all of it."""
    by_last = {name.split(".")[-1]: name for name in reversed(known)}
    last = key.split(".")[-1]
    near = by_last.get(last) or nearest_name(key, known)
    if near is None:
        near = by_last.get(nearest_name(last, [*by_last]) or "")
    return f"Unknown key '{key}'.{did_you_mean(near)} A dry run lists all settings."


def parse_setting(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE, VALUE as in TOML, a bare word or a list of such words, for shells take the
    quotes away: "loop.kl_weight=2" -> (key, value).

    Raises:
        ValueError: no equals sign, or a value that TOML does not know.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ValueError(f"The setting '{text}' is not KEY=VALUE. Write it like loop.kl_weight=2.")
    word = value.strip()
    try:
        return key.strip(), tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        if _is_word(word):
            return key.strip(), word
        items = [item.strip() for item in word[1:-1].split(",")]
        if word.startswith("[") and word.endswith("]") and all(map(_is_word, items)):
            return key.strip(), items
        raise ValueError(
            f"The value of '{text}' cannot be read. Write numbers, true, false, words, or lists "
            "like [16, 8]."
        ) from None


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read several, tables by the dotted keys in them; of the same key the last counts.

    Raises:
        ValueError: as of `parse_setting`.
    """
    return {k: v for text in texts for k, v in flatten(dict([parse_setting(text)])).items()}


def _is_word(text: str) -> bool:
    return text.replace("_", "").replace("-", "").isalnum()


def preset_names() -> list[str]:
    """Names of the bundled presets."""
    return sorted(path.stem for path in PRESETS_FOLDER.glob("*.toml"))


def load_preset(name: str | os.PathLike[str]) -> TrainConfig:
    """The preset called `name`, or the TOML file of that path.

    Raises:
        ValueError: no such preset or file, or a file that is not valid.
    """
    name = os.fspath(name)
    path = Path(name) if name.lower().endswith(".toml") else PRESETS_FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"There is no preset '{name}'. Use one of {', '.join(preset_names())}, "
            "or the path of a .toml file."
        )
    return TrainConfig.from_dict(read_toml(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises: ValueError naming the file when it is not valid."""
    try:
        # Windows editors put a byte-order mark before the text, which TOML knows none of, and
        # PowerShell writes what a command printed in UTF-16.
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
        return tomllib.loads(content.decode(encoding).replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not valid TOML: {error}. Correct it.") from error
