"""Configuration of an adaptation: a small code, co-pilot and loop on top of an imported model."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfyui_cldis.diffusion.schedule import ScheduleConfig
from comfyui_cldis.model import AdaptedConfig, DiffAEConfig
from comfyui_cldis.model.config import from_mapping, require

from .settings import TrainConfig, read_toml

ADAPT_PRESETS_FOLDER = Path(__file__).parent / "adapt_presets"
TABLE = "adapt"  # of a configuration; others have none
OF_THE_FILE = ("model.backbone", "schedule", "adapt.backbone_sha256")  # settings no one chooses
# What runs did before these settings came, where that is not their default.
EARLIER = {"loop": {"distillation_error_variance": 0.0}}


@dataclass(frozen=True)
class AdaptSettings:
    """What an adaptation has besides a training.

    Attributes:
        backbone_sha256: of the imported model's file.
        diffusion_items: images of each batch that go through the frozen decoder, whose diffusion
            loss and feedback then count; 0 leaves it out, and the loop open.
        embedding_weight: of the mean squared error of the wide code that the small one predicts.
        quality_images: images that the quality is measured on, at most.
        base_images: images that directions are measured on.
        drawing_steps: sampling steps meanwhile.
    """

    backbone_sha256: str = ""
    diffusion_items: int = 0
    embedding_weight: float = 1.0
    quality_images: int = 256
    base_images: int = 8
    drawing_steps: int = 10

    def __post_init__(self) -> None:
        require(
            self.diffusion_items >= 0,
            f"adapt.diffusion_items is {self.diffusion_items}",
            "Use 0 or more",
        )
        require(
            self.embedding_weight > 0,
            f"adapt.embedding_weight is {self.embedding_weight}",
            "Use a positive number",
        )
        for name, least in (("quality_images", 1), ("base_images", 1), ("drawing_steps", 1)):
            value = getattr(self, name)
            require(value >= least, f"adapt.{name} is {value}", f"Use {least} or more")


@dataclass(frozen=True)
class AdaptConfig(TrainConfig):
    """An adaptation: a training whose model is an adapted one."""

    # the trainer asks of a model's configuration only what both kinds have
    model: AdaptedConfig  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    adapt: AdaptSettings = field(default_factory=AdaptSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.adapt.diffusion_items <= self.batch_size,
            f"adapt.diffusion_items is {self.adapt.diffusion_items} and batch_size "
            f"{self.batch_size}",
            f"Use 0 to {self.batch_size}",
        )
        require(
            "second_unet" not in self.feedback.parts,
            "feedback.parts has 'second_unet', a copy of a decoder that is trained, and that of an "
            "adaptation is frozen",
            "Use second_decoder",
        )

    @property
    def num_decoded(self) -> int:
        """Images of each batch that go through the frozen decoder."""
        return self.adapt.diffusion_items

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdaptConfig:
        """Build from a nested mapping. Raises: ValueError naming unknown or missing keys."""
        config = super().from_dict(values)
        assert isinstance(config, AdaptConfig)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back."""
        return {**super().to_dict(), "model": self.model.to_dict()}

    @classmethod
    def tables(cls) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """See `TrainConfig.tables`."""

        def read(values: Mapping[str, Any]) -> AdaptSettings:
            return from_mapping(AdaptSettings, values, "the adapt configuration")

        return {**super().tables(), "model": AdaptedConfig.from_dict, TABLE: read}


def adapt_preset_names() -> list[str]:
    """Names of the bundled presets: of the devices that they are for."""
    return sorted(path.stem for path in ADAPT_PRESETS_FOLDER.glob("*.toml"))


def load_adapt_preset(
    name: str | os.PathLike[str], backbone: DiffAEConfig, schedule: ScheduleConfig, sha256: str
) -> AdaptConfig:
    """The preset called `name`, or the TOML file of that path, for an imported model.

    The co-pilot's images are at most as large as the model's.

    Raises:
        ValueError: no such preset or file, a file that is not valid, or one that gives what the
            imported model's file says.
    """
    name = os.fspath(name)
    path = Path(name) if name.lower().endswith(".toml") else ADAPT_PRESETS_FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"There is no preset '{name}' of adaptations. Use one of "
            f"{', '.join(adapt_preset_names())}, or the path of a .toml file."
        )
    values = read_toml(path)
    model, adapt = (_table(values, key, path.name) for key in ("model", TABLE))
    for key in OF_THE_FILE:
        table, _, last = key.rpartition(".")
        require(
            last not in (values.get(table, {}) if table else values),
            f"{path.name} gives {key}, which the file of the imported model says",
            "Leave it out",
        )
    copilot = dict(_table(model, "copilot", path.name))
    wanted = copilot.get("image_size", 64)
    if isinstance(wanted, int) and wanted > backbone.image_size:
        copilot["image_size"] = max(8, 2 ** (backbone.image_size.bit_length() - 1))
    return AdaptConfig.from_dict(
        {
            **values,
            "model": {**model, "copilot": copilot, "backbone": backbone.to_dict()},
            "schedule": schedule.to_dict(),
            TABLE: {**adapt, "backbone_sha256": sha256},
        }
    )


def _table(values: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    found = values.get(key, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"'{key}' in {name} is no table. Write [{key}] and its settings below.")
    return found


def config_from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration that `to_dict` of a training or an adaptation made.

    Settings that it lacks came later than its run, which did what their defaults do, or `EARLIER`.

    Raises: ValueError, as of `TrainConfig.from_dict`.
    """
    values = dict(values)
    if values.get("clip_norm") == math.inf:  # was allowed, and clipped nothing
        values["clip_norm"] = 0.0
    for name, earlier in EARLIER.items():
        table = values.get(name, {})
        if isinstance(table, Mapping):
            values[name] = {**earlier, **table}
    return (AdaptConfig if TABLE in values else TrainConfig).from_dict(values)
