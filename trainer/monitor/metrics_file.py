"""The statistics file of a run, stats.jsonl: one JSON object per line, in order of the steps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfyui_cldis.atomic_write import write_text

STATS_NAME = "stats.jsonl"


def read_records(path: Path) -> list[dict[str, Any]]:
    """All whole records of the file; none when there is no file.

    A line that is no JSON object with a step was being written when the run was killed, and is
    left out.
    """
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def drop_records_after(path: Path, step: int) -> list[dict[str, Any]]:
    """Cut off what an interrupted run logged beyond the state it resumes from; return the rest.

    The new file replaces the old one in one move, so a kill in between loses nothing.
    """
    kept = [record for record in read_records(path) if record["step"] <= step]
    if path.is_file():
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
    return kept


def finite(value: Any) -> float | None:
    """The value when it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def number(record: Mapping[str, Any], key: str) -> float | None:
    """The value of `key` when it is a finite number, else None."""
    return finite(record.get(key))


def images_per_second(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> float | None:
    """Training speed between two records from their `images` and `seconds`.

    The seconds count the training steps alone, so that sheets, saving and stops do not look like
    slow training. None when a value is missing or no time passed.
    """
    values = [number(record, key) for key in ("images", "seconds") for record in (earlier, later)]
    if None in values:
        return None
    images_before, images, seconds_before, seconds = [value or 0.0 for value in values]
    if seconds <= seconds_before or images < images_before:
        return None
    return (images - images_before) / (seconds - seconds_before)


def seconds_per_step(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> float | None:
    """Step time between two records, None when it cannot be told."""
    before, after = number(earlier, "seconds"), number(later, "seconds")
    first, last = number(earlier, "step"), number(later, "step")
    if before is None or after is None or first is None or last is None:
        return None
    if last <= first or after <= before:
        return None
    return (after - before) / (last - first)
