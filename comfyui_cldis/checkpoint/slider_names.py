"""Names that a person gave the sliders of a model, in a small file beside it.

`MODEL.sliders.json` beside `MODEL.safetensors`: for each slider that has another name, or is turned
round, what the model file calls it and how it is shown. The model file stays as it was made, and
the names it uses keep their meaning, so edits that were written down before still hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..atomic_write import write_bytes
from ..editing.direction import Direction, find_slider
from .header import CheckpointError

FORMAT, VERSION = "cldis_sliders", 1
ENDING = ".sliders.json"
PARKED = "#"  # begins the name of an edit that is kept for another model, and passed over
MAX_CHARACTERS = 60
MAX_BYTES = 1 << 20


class NamesError(CheckpointError):
    """The names beside a model file cannot be used; the model file itself is not to blame."""


def names_path(model: str | os.PathLike[str]) -> Path:
    """Where the names of the sliders of a model file are."""
    path = Path(os.path.realpath(model))
    return path.with_name(path.stem + ENDING)


def with_names(
    model: str | os.PathLike[str], directions: Sequence[Direction]
) -> tuple[Direction, ...]:
    """The directions of a model file under the names that a person gave them.

    Names for directions that the model lacks are passed over: the file may be older than the model.

    Raises: NamesError when the file of names is damaged, or two sliders would have one name.
    """
    path = names_path(model)
    entries = _read(path)
    named = tuple(
        _named(each, entries[each.name], path) if each.name in entries else each
        for each in directions
    )
    _check_distinct(named, path)
    return named


def store_names(model: str | os.PathLike[str], directions: Sequence[Direction]) -> None:
    """Writes the names beside a model file, or removes the file when no slider has another name.

    Raises: OSError when it cannot be written.
    """
    path = names_path(model)
    entries = {
        each.file_name: {
            "name": each.name,
            "negative_label": each.negative_label,
            "positive_label": each.positive_label,
            "flipped": each.is_flipped,
        }
        for each in directions
        if each.file_name
    }
    if not entries:
        path.unlink(missing_ok=True)
        return
    content = {"format": FORMAT, "version": VERSION, "sliders": entries}
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def check_not_parked(name: str) -> None:
    """Raises a ValueError for a name whose edits would be passed over."""
    if name.startswith(PARKED):
        raise ValueError(
            f"A slider cannot be called '{name}': edits of names that begin with {PARKED} are "
            "passed over. Choose another name."
        )


def renamed(
    directions: Sequence[Direction],
    slider: str,
    name: str,
    labels: tuple[str, str] = ("", ""),
    *,
    is_flipped: bool = False,
) -> tuple[Direction, ...]:
    """The directions, one of them under another name.

    Args:
        slider: its name, or what the model file calls it.
        name: one line of at most 60 characters; that of the model file gives it its own ends and
            sense back.
        labels: of the negative and the positive end as they are afterwards.
        is_flipped: turned round against the model file.

    Raises: ValueError for an unknown slider, a name that another one has, or one that cannot be.
    """
    shown = find_slider(directions, slider, "the model")
    own = shown.as_in_file()
    name, labels = checked(name), (checked(labels[0], True), checked(labels[1], True))
    if name != own.name:
        check_not_parked(name)
    others = [each for each in directions if each is not shown]
    if any(name in (each.name, each.file_name) for each in others):
        raise ValueError(f"Another slider of this model is called '{name}'. Choose another name.")
    if name == own.name and is_flipped:
        raise ValueError(
            f"'{name}' keeps its meaning in saved workflows, so the slider cannot be turned round "
            "under that name. Give it another name."
        )
    changed = own
    if name != own.name or labels not in (("", ""), (own.negative_label, own.positive_label)):
        changed = own.called(name, labels, is_flipped=is_flipped)
    return tuple(changed if each is shown else each for each in directions)


def checked(text: str, may_be_empty: bool = False) -> str:
    """`text` without blanks around it.

    Raises: ValueError unless it is one line of visible text, at most 60 characters.
    """
    stripped = text.strip() if isinstance(text, str) else ""
    if may_be_empty and not stripped and isinstance(text, str):
        return ""
    if not stripped or not stripped.isprintable() or len(stripped) > MAX_CHARACTERS:
        raise ValueError(
            f"The name {str(text)[: MAX_CHARACTERS + 4]!r} cannot be used. Give one line of "
            f"visible text, at most {MAX_CHARACTERS} characters."
        )
    return stripped


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NamesError(f"{path.name} is larger than 1 MiB. Delete it, or repair it.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:  # the latter of deeply nested lists
        if isinstance(error, CheckpointError):
            raise
        raise _damaged(path, "no JSON text") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(path, "no list of slider names")
    if content.get("version") != VERSION:
        raise NamesError(
            f"{path.name} has version {content.get('version')}; this release reads {VERSION}. "
            "Update CL-Dis, or delete the file."
        )
    entries = content.get("sliders")
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise _damaged(path, "no list of slider names")
    return entries


def _named(direction: Direction, entry: dict[str, Any], path: Path) -> Direction:
    try:
        name = checked(entry["name"])
        negative = checked(entry.get("negative_label", ""), True)
        positive = checked(entry.get("positive_label", ""), True)
    except (KeyError, ValueError) as error:
        raise _damaged(path, f"no usable name for '{direction.name}'") from error
    is_flipped = entry.get("flipped", False) is True
    if is_flipped and name == direction.name:
        raise _damaged(path, f"no other name for '{direction.name}', which it turns round")
    return direction.called(name, (negative, positive), is_flipped=is_flipped)


def _check_distinct(directions: Sequence[Direction], path: Path) -> None:
    owner: dict[str, int] = {}
    for index, each in enumerate(directions):
        for name in {each.name, each.file_name or each.name}:
            if owner.setdefault(name, index) != index:
                raise _damaged(path, f"two sliders called '{name}'")


def _damaged(path: Path, fact: str) -> NamesError:
    return NamesError(f"{path.name} holds {fact}. Repair it, or delete it.")
