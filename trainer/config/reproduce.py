"""The command that trains a configuration, for the record: a preset and what differs from it."""

from __future__ import annotations

import json
import shlex
from typing import Any

from .adapt import AdaptConfig, adapt_preset_names, load_adapt_preset
from .settings import TrainConfig, flatten, load_preset, parse_setting, preset_names

FLAGS = ("steps", "seed")  # settings with a flag of their own


def training_command(config: TrainConfig, data: str, preset: str = "") -> str:
    """A command that gives exactly `config` on any machine that has the images.

    Args:
        data: as for --data.
        preset: to start from, if it is a bundled one; else the one with the fewest differences.
    """
    presets = [preset] if preset in preset_names() else preset_names()
    preset, settings = min(
        ((name, differences(load_preset(name), config)) for name in presets),
        key=lambda found: (len(found[1]), found[0]),
    )
    words = ["cldis", "train", "--data", data, "--output", "DIR", "--preset", preset]
    return _command(words, config, settings)


def adapting_command(config: AdaptConfig, model: str, data: str, preset: str = "") -> str:
    """A command that gives exactly `config` on any machine that has the images and the model.

    Args:
        model: file of the imported model.
        data, preset: as of `training_command`.
    """
    names = adapt_preset_names()
    names = [preset] if preset in names else names

    def base(name: str) -> AdaptConfig:
        sha256 = config.adapt.backbone_sha256
        return load_adapt_preset(name, config.model.backbone, config.schedule, sha256)

    preset, settings = min(
        ((name, differences(base(name), config)) for name in names),
        key=lambda found: (len(found[1]), found[0]),
    )
    words = ["cldis", "adapt", model, "--data", data, "--output", "DIR", "--preset", preset]
    return _command(words, config, settings)


def _command(words: list[str], config: TrainConfig, settings: list[str]) -> str:
    words = [*words, "--steps", str(config.steps), "--seed", str(config.seed)]
    for setting in settings:
        words += ["--set", setting]
    return shlex.join(words)


def differences(base: TrainConfig, config: TrainConfig) -> list[str]:
    """What to --set on `base` to get `config`, as KEY=VALUE; steps and seed are left out."""
    before, after = flatten(base.to_dict()), flatten(config.to_dict())
    return [
        f"{key}={setting_text(value)}"
        for key, value in after.items()
        if value != before[key] and key not in FLAGS
    ]


def setting_text(value: Any) -> str:
    """A value as `parse_setting` reads it: TOML, and words without quotes where they may be."""
    if isinstance(value, str) and value.replace("_", "").isalnum():
        return value if parse_setting(f"x={value}")[1] == value else json.dumps(value)
    return json.dumps(value)  # JSON writes such values as TOML does
