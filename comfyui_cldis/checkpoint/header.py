"""The header of a checkpoint file: every fact about a model except its tensors, as JSON strings.

safetensors keeps a map of strings in front of the tensors. This module turns an `EditableModel`
into that map and back, and owns the format's name and version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..diffusion.schedule import ScheduleConfig
from ..editing.amount_scale import AmountScale
from ..editing.code_path import CodePath
from ..editing.direction import Direction
from ..editing.editable import EditableModel
from ..editing.facts import DirectionQuality, ModelFacts
from ..model.build import KIND, NetworksConfig, config_from_dict
from ..model.diffae import DiffAEConfig
from ..wording import has_control, printable

FORMAT = "cldis"
FORMAT_VERSION = 3  # the newest; a model that needs none of its entries is written as 1 or 2
READS = (1, 2, 3)
KEYS = {"name", "min", "max", "negative_label", "positive_label", "effect"}  # of a direction
# likewise, each optional, since version 2
ADDED_KEYS = {"quality", "path_amounts", "scale", "thumbnails"}
HEADER_LIMIT = 1024 * 1024  # bytes; ComfyUI serves no larger header to the browser


class CheckpointError(ValueError):
    """A file that is no usable CL-Dis model: one sentence of fact and one of remedy."""


@dataclass(frozen=True)
class Header:
    """What a file says about its model.

    Attributes:
        format_version: version of the file format.
        config: architecture of the networks.
        schedule: noise schedule the decoder was trained with.
        directions: strongest effect first.
        facts: what is recorded of the model.
        parameters: number of weights of the networks.
        stored_dtype: data type of the weights in the file, such as "float16".
    """

    format_version: int
    config: NetworksConfig
    schedule: ScheduleConfig
    directions: tuple[Direction, ...]
    facts: ModelFacts
    parameters: int
    stored_dtype: str

    @property
    def has_copilot(self) -> bool:
        """Whether the networks have a co-pilot, which previews need."""
        return not isinstance(self.config, DiffAEConfig)

    @property
    def image_size(self) -> int:
        """Side of the model's square image in pixels."""
        return self.config.image_size

    @property
    def latent_dim(self) -> int:
        """N, the number of scalars in the semantic code."""
        return self.config.latent_dim


def to_metadata(model: EditableModel) -> dict[str, str]:
    """Returns the header of `model`; the directions' vectors are left to the tensors.

    Raises: CheckpointError for facts that JSON cannot hold, or names that would not be read back.
    """
    config = model.networks.config
    for direction in model.directions:
        if has_control(direction.name):
            raise CheckpointError(
                f"The name '{printable(direction.name)}' of a direction holds control characters. "
                "Rename it."
            )
    directions = [_entry(direction) for direction in model.directions]
    architecture = config.to_dict()
    version = 2 if any(entry.keys() & ADDED_KEYS for entry in directions) else 1
    version = 3 if KIND in architecture else version
    return {
        "format": FORMAT,
        "format_version": str(version),
        "image_size": str(config.image_size),
        "latent_dim": str(config.latent_dim),
        "architecture": _dump("architecture", architecture),
        "schedule": _dump("schedule", model.schedule.config.to_dict()),
        "directions": _dump("directions", directions),
        "facts": _dump("facts", model.facts.to_dict()),
    }


def _entry(direction: Direction) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": direction.name,
        "min": direction.minimum,
        "max": direction.maximum,
        "negative_label": direction.negative_label,
        "positive_label": direction.positive_label,
        "effect": direction.effect,
    }
    quality = direction.quality.to_dict()
    if quality:
        entry["quality"] = quality
    if direction.path is not None:
        entry["path_amounts"] = list(direction.path.amounts)
    if direction.scale is not None:
        entry["scale"] = [list(direction.scale.amounts), list(direction.scale.distances)]
    if direction.thumbnails is not None:
        entry["thumbnails"] = direction.thumbnails.shape[1]
    return entry


def check_format(metadata: Mapping[str, str] | None, name: str) -> int:
    """Returns the format version of the file `name`.

    Raises: CheckpointError for another format or a version this package cannot read.
    """
    if not metadata or metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{name} is a safetensors file but not a CL-Dis model (its header does not name the "
            f"format '{FORMAT}'). Choose a file that `cldis train` wrote."
        )
    text = metadata.get("format_version", "")
    if text in map(str, READS):
        return int(text)
    reads = f"{READS[0]} to {READS[-1]}"
    if text.isascii() and text.isdigit() and int(text[:9]) > FORMAT_VERSION:
        raise CheckpointError(
            f"{name} has format version {text[:9]}, and this version of CL-Dis reads versions "
            f"{reads}. Update the pack."
        )
    raise CheckpointError(
        f"{name} has the unknown format version '{printable(text[:40])}'; this version of CL-Dis "
        f"reads versions {reads}. Export the model again with `cldis train`."
    )


def read_config(metadata: Mapping[str, str], name: str) -> tuple[NetworksConfig, ScheduleConfig]:
    """Returns the architecture and the schedule; CheckpointError naming the file otherwise."""
    architecture = _load(metadata, "architecture", Mapping, name)
    schedule = _load(metadata, "schedule", Mapping, name)
    try:
        config = config_from_dict(architecture)
        schedule_config = ScheduleConfig.from_dict(schedule)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise damaged(name, f"describes a model that cannot be built: {error}") from error
    for key, value in (("image_size", config.image_size), ("latent_dim", config.latent_dim)):
        if metadata.get(key, str(value)) != str(value):
            raise damaged(name, f"gives {key} {metadata[key][:40]}, but its architecture {value}")
    return config, schedule_config


def read_facts(metadata: Mapping[str, str], name: str) -> tuple[ModelFacts, Mapping[str, Any]]:
    """Returns the facts, and the monotone share of directions by name where the facts have it.

    Models of before 0.1.0, such as the bundled one, state it there (and most of them with the
    direction as well), with the number of monotone directions, which follows from it.

    Raises: CheckpointError naming the file.
    """
    values = _load(metadata, "facts", Mapping, name)
    try:
        facts = ModelFacts.from_dict(values, "the facts")
    except ValueError as error:
        raise damaged(name, f"has facts that cannot be read: {error}") from error
    other = dict(facts.quality.other)
    shares = other.pop("monotone_share", {})
    other.pop("num_visible_monotone", None)
    if not isinstance(shares, Mapping):
        raise damaged(name, "gives 'monotone_share' of its quality as no JSON object")
    return replace(facts, quality=replace(facts.quality, other=other)), shares


def read_entries(metadata: Mapping[str, str], version: int, name: str) -> list[Any]:
    """Returns the header's list of directions as it stands, less what version 1 does not know.

    Raises: CheckpointError for no list, or keys that version 2 does not know.
    """
    entries = _load(metadata, "directions", list, name)
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise damaged(name, f"has an invalid direction {index}: it is no JSON object")
        unknown = sorted(entry.keys() - KEYS - ADDED_KEYS)
        if unknown and version > 1:
            raise damaged(name, f"has the unknown key '{unknown[0][:40]}' in direction {index}")
    if version > 1:
        return entries
    return [{key: entry[key] for key in entry.keys() & KEYS} for entry in entries]


def read_directions(
    entries: Sequence[Mapping[str, Any]],
    vectors: Sequence[Sequence[float]],
    added: Sequence[Mapping[str, Any]],
    shares: Mapping[str, Any],
    name: str,
) -> tuple[Direction, ...]:
    """Joins the header's list of K directions with what the tensors say of them.

    Args:
        vectors: K rows of N numbers.
        added: for each direction its "path_points" and "thumbnails", where it has them.
        shares: monotone shares by name, for directions whose quality has none.

    Raises: CheckpointError for a missing key, a bad value, or two directions of one name.
    """
    directions = []
    for index, (entry, vector, more) in enumerate(zip(entries, vectors, added, strict=True)):
        try:
            direction = Direction(
                name=_visible(str(entry["name"])),
                vector=tuple(float(value) for value in vector),
                minimum=float(entry["min"]),
                maximum=float(entry["max"]),
                negative_label=str(entry["negative_label"]),
                positive_label=str(entry["positive_label"]),
                effect=float(entry["effect"]),
                quality=_quality(entry, shares),
                path=_path(entry, more),
                scale=_scale(entry),
                thumbnails=more.get("thumbnails"),
            )
        except KeyError as error:
            raise damaged(name, f"lacks {error} in direction {index}") from error
        except (TypeError, ValueError, ArithmeticError) as error:
            raise damaged(name, f"has an invalid direction {index}: {error}") from error
        if not all(map(math.isfinite, (direction.minimum, direction.maximum, direction.effect))):
            raise damaged(name, f"gives direction '{direction.name}' numbers that are not finite")
        if any(direction.name == other.name for other in directions):
            raise damaged(name, f"names two directions '{direction.name}'")
        directions.append(direction)
    return tuple(directions)


def _visible(name: str) -> str:
    """`name`. Raises: ValueError for one that a terminal would take for commands."""
    if has_control(name):
        raise ValueError(f"its name '{printable(name)}' holds control characters")
    return name


def _quality(entry: Mapping[str, Any], shares: Mapping[str, Any]) -> DirectionQuality:
    share = {"monotone": shares[entry["name"]]} if entry["name"] in shares else {}
    values = {**share, **entry.get("quality", {})}
    return DirectionQuality.from_dict(values, f"the quality of direction '{entry['name']}'")


def _path(entry: Mapping[str, Any], more: Mapping[str, Any]) -> CodePath | None:
    if "path_amounts" not in entry:
        return None
    points = tuple(tuple(float(value) for value in point) for point in more["path_points"])
    return CodePath(tuple(float(amount) for amount in entry["path_amounts"]), points)


def _scale(entry: Mapping[str, Any]) -> AmountScale | None:
    if "scale" not in entry:
        return None
    amounts, distances = entry["scale"]
    return AmountScale(tuple(map(float, amounts)), tuple(map(float, distances)))


def damaged(name: str, fact: str) -> CheckpointError:
    """What to raise when the header of the file `name` states something that cannot be."""
    return CheckpointError(
        f"The header of {name} {printable(fact.rstrip('.'))}. Download or export the file again."
    )


def _dump(key: str, value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(
            f"The model's {key} hold {error.object[error.start]!r}, which is no character of "
            "Unicode; it stands for a byte of a name that is not UTF-8. Write that name otherwise."
        ) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"The model's {key} cannot be written as JSON: {error}. "
            "Use only text, finite numbers, booleans, lists and dictionaries."
        ) from error
    return text


def _load(metadata: Mapping[str, str], key: str, kind: type, name: str) -> Any:
    text = metadata.get(key)
    if text is None:
        raise damaged(name, f"lacks the entry '{key}'")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise damaged(name, f"has no valid JSON in '{key}': {error}") from error
    if not isinstance(value, kind):
        raise damaged(name, f"has the wrong kind of value in '{key}'")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"the number {text} is not finite")
