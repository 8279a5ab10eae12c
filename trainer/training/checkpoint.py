"""The resumable states of a run: written to a temporary file, then renamed; the last few are kept.

A state holds tensors, numbers and strings only, so torch reads it with weights_only=True.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from comfyui_cldis.atomic_write import replacing, unfinished, write_text
from comfyui_cldis.shortage import is_out_of_memory

from ..config.adapt import config_from_dict
from ..config.reproduce import setting_text
from ..config.settings import TrainConfig, flatten
from ..data.sources import BUILT_IN_SOURCES
from ..errors import OutputTaken

STATE_NAME = "state.pt"
CONFIG_NAME = "config.json"
MOST_VALUES = 8  # stored settings that a message names with their values
LONGEST_TEXT = 60  # characters of such a value
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)  # of what is no config.json
FREE_TO_CHANGE = {
    "steps",
    "save_every_steps",
    "sample_every_steps",
    "log_every_steps",
    "directions",
    "keep_states",
    "accumulation_steps",
    "use_compile",
    "backbone",  # where its file lies; which file it is stands in the settings
}


def free_to_change(config: TrainConfig) -> set[str]:
    """The settings that may change between two commands on the same run: `FREE_TO_CHANGE`, but
    not the size of the parts whose images the objective compares."""
    compares = config.objective.compares_images
    return FREE_TO_CHANGE - {"accumulation_steps"} if compares else FREE_TO_CHANGE


def state_files(folder: Path) -> list[Path]:
    """The states in `folder`, newest first: state.pt, state_1.pt, state_2.pt, ..."""
    numbered = [
        path for path in folder.glob("state_*.pt") if path.stem.removeprefix("state_").isdigit()
    ]
    numbered.sort(key=lambda path: int(path.stem.removeprefix("state_")))
    return [path for path in [folder / STATE_NAME, *numbered] if path.is_file()]


def save_state(
    folder: Path, content: dict[str, Any], keep: int = 2, damaged: Iterable[Path] = ()
) -> None:
    """Write the state of a run; the older ones move up by one number and `keep` stay.

    At every moment at least one complete state lies in the folder under its name, once one was
    written.

    Args:
        damaged: states that `load_state` could not read; they are deleted, so that none of them
            stays in place of one that can be read.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the earlier states stay.
    """
    target = folder / STATE_NAME
    try:
        for left in unfinished(target):  # of a kill; a run's folder has one writer
            left.unlink()
        with replacing(target) as temporary:
            torch.save(content, temporary)
            for path in damaged:
                path.unlink(missing_ok=True)
            _move_up(folder, keep)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        reason = (error.strerror if isinstance(error, OSError) else None) or "the write failed"
        raise OSError(
            f"The training state could not be written to {folder} ({reason}). "
            f"{describe_kept(folder)} Free space or choose a folder you may write to, then "
            "start the same run again."
        ) from error


def describe_kept(folder: Path) -> str:
    """Whether a run that failed can resume from a state: a sentence."""
    if state_files(folder):
        return "The state that was saved last is kept."
    return "No state had been saved yet, so the run would start from the beginning."


def _move_up(folder: Path, keep: int) -> None:
    files = state_files(folder)
    for path in files[max(keep - 1, 1) :]:
        path.unlink()
    if keep < 2:
        return
    # from the oldest to the newest, so that no file is replaced by a newer one it should follow
    for number, path in reversed(list(enumerate(files[: keep - 1], start=1))):
        os.replace(path, folder / f"state_{number}.pt")


def load_state(folder: Path) -> tuple[dict[str, Any], dict[Path, str]] | None:
    """The newest readable state in `folder`, and the newer ones that are not, each with a sentence.

    None without any state. Only content that is not a state counts as damage.

    Raises:
        ValueError: there are states, but none of them can be read.
        OSError: the system did not let a state be read; nothing is known of its content.
        MemoryError, RuntimeError: memory ran out.
    """
    damaged: dict[Path, str] = {}
    for path in state_files(folder):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # a shortened file is read at an offset that it has not (EINVAL)
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise OSError(
                    f"The training state {path} could not be read ({error.strerror}); it stays as "
                    "it is. See to it that it can be read, then start the same run again."
                ) from error
            reason = type(error).__name__
            damaged[path] = f"{path} cannot be read as a training state ({reason})."
            continue
        return state, damaged
    if damaged:
        raise OutputTaken(" ".join(damaged.values()), "Delete it to start over")
    return None


@dataclass(frozen=True)
class StoredRun:
    """What config.json says of a run: its settings, its source of images, and of an adaptation
    where the imported model lies."""

    config: TrainConfig
    source: str
    backbone: Path | None = None


def read_config(folder: Path) -> StoredRun:
    """The settings a run was started with, from its config.json.

    Raises:
        ValueError: no run in `folder`, or a damaged config.json.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ValueError(
            f"{folder} is not a run folder: there is no {CONFIG_NAME}. Give the output folder of "
            "a run."
        )
    try:
        values, source, backbone = _read_values(path)
    except DAMAGE as error:
        raise ValueError(
            f"{path} is damaged ({error}). Give the folder of another run, or train again."
        ) from error
    return StoredRun(config_from_dict(values), source, backbone)


def _read_values(path: Path) -> tuple[dict[str, Any], str, Path | None]:
    """Settings, source and backbone in a config.json. Raises: one of `DAMAGE`."""
    values = json.loads(path.read_text(encoding="utf-8"))
    source, backbone = values.pop("data"), values.pop("backbone", None)
    return values, source, None if backbone is None else Path(backbone)


def check_config(
    folder: Path, config: TrainConfig, source: str, backbone: Path | None = None
) -> dict[str, Any]:
    """Compare the configuration with the one the run in `folder` was started with, if there is one.

    Only `free_to_change` may differ between two commands on the same folder: the length of the
    run, its intervals, how a step is computed, and where a backbone and the images lie. Whether
    images elsewhere are the same, the state tells (`Trainer.load`). What an earlier version did not
    write down counts as what it did (`config_from_dict`).

    Returns:
        What `write_config` is to write once the run is open.

    Raises:
        ValueError: the folder holds a run with another configuration or data source.
    """
    path = folder / CONFIG_NAME
    now = _as_json(source, config)
    if backbone is not None:
        now["backbone"] = str(backbone.resolve())
    if path.is_file() and state_files(folder):
        try:
            values, earlier_source, _ = _read_values(path)
        except DAMAGE as error:
            raise OutputTaken(
                f"{path} is damaged ({error}).",
                f"Delete {path.name} and give the settings the run was started with",
            ) from error
        try:
            before = _as_json(earlier_source, config_from_dict(values))
        except ValueError as error:
            fact = str(error).split(". ")[0].rstrip(".")
            raise OutputTaken(
                f"{path} has settings that this version does not take ({fact}).",
                "Resume with the release that wrote it",
            ) from error
        free = free_to_change(config)
        if not {earlier_source, source} & {*BUILT_IN_SOURCES}:
            free = free | {"data"}
        changed = sorted(changed_settings(before, now) - free)
        if changed:
            listed = f"different: {', '.join(changed)}"
            if len(changed) <= MOST_VALUES:
                listed = ", ".join(_stored_text(before, key) for key in changed)
            if changed == ["accumulation_steps"]:
                listed += ", and the objective compares the images of a part"
            raise OutputTaken(
                f"{folder} holds a run with other settings ({listed}).",
                "Give the settings it was started with",
            )
    return now


def as_trained(folder: Path, config: TrainConfig) -> TrainConfig:
    """`config`, with the accumulation steps that the run in `folder` had, if it is finished.

    It trains no further, so that parts of another size change nothing of it, although
    `check_config` refuses them where the objective compares images.

    Raises:
        ValueError, OSError: as of `load_state`.
    """
    if not config.objective.compares_images or not state_files(folder):
        return config
    try:
        then = read_config(folder).config
    except ValueError:  # `check_config` says why
        return config
    is_parted = then.accumulation_steps != config.accumulation_steps
    if not is_parted or then.batch_size != config.batch_size:
        return config
    found = load_state(folder)
    if found is None or found[0].get("step", 0) < config.steps:
        return config
    return replace(config, accumulation_steps=then.accumulation_steps)


def write_config(folder: Path, values: dict[str, Any]) -> None:
    """Write config.json whole or not at all."""
    path = folder / CONFIG_NAME
    write_text(path, json.dumps(values, indent=2) + "\n")


def _as_json(source: str, config: TrainConfig) -> dict[str, Any]:
    return json.loads(json.dumps({"data": source, **config.to_dict()}))  # tuples become lists


def _stored_text(before: dict[str, Any], key: str) -> str:
    """What the setting of a dotted key was, if that is short: "loop.kl_weight was 2.0"."""
    stored = flatten(before)
    if key not in stored:  # one of them has a table there
        return f"{key} was another"
    text = "not set" if stored[key] is None else setting_text(stored[key])
    return f"{key} was {text if len(text) <= LONGEST_TEXT else 'another'}"


def changed_settings(before: Any, now: Any, prefix: str = "") -> set[str]:
    """Dotted keys at which two nested dictionaries differ."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return set() if before == now else {prefix.rstrip(".")}
    found: set[str] = set()
    for key in {*before, *now}:
        found |= changed_settings(before.get(key), now.get(key), f"{prefix}{key}.")
    return found
