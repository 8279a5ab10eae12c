"""The statistics file of a run, stats.jsonl: one JSON object per line, in order of the steps."""

from __future__ import annotations

import json
from pathlib import Path

from comfyui_cldis.atomic_write import write_text

from ..training.record import TrainingRecord

STATS_NAME = "stats.jsonl"


def read_records(path: Path) -> list[TrainingRecord]:
    """All whole records of the file; none when there is no file.

    A line that is no JSON object with a step was being written when the run was killed, and is
    left out.
    """
    return [record for record, _ in _read_lines(path)]


def _read_lines(path: Path) -> list[tuple[TrainingRecord, str]]:
    """The whole records with the lines they are read from."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
            if isinstance(values, dict):
                found.append((TrainingRecord.from_json(values), line))
        except ValueError:
            continue
    return found


def append_record(path: Path, record: TrainingRecord) -> None:
    """Add one line."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record.to_json(), allow_nan=False) + "\n")


def drop_records_after(path: Path, step: int) -> None:
    """Cut off what an interrupted run logged beyond the state it resumes from.

    The new file replaces the old one in one move, so a kill in between loses nothing.
    """
    if not path.is_file():
        return
    kept = [line for record, line in _read_lines(path) if record.step <= step]
    write_text(path, "".join(line + "\n" for line in kept))


def images_per_second(earlier: TrainingRecord, later: TrainingRecord) -> float | None:
    """Training speed between two records from their `images` and `seconds`.

    The seconds count the training steps alone, so that sheets, saving and stops do not look like
    slow training. None when a value is missing or no time passed.
    """
    images = earlier.number("images"), later.number("images")
    seconds = earlier.number("seconds"), later.number("seconds")
    return _rate(images, seconds)


def seconds_per_step(earlier: TrainingRecord, later: TrainingRecord) -> float | None:
    """Step time between two records, None when it is not known."""
    seconds = earlier.number("seconds"), later.number("seconds")
    rate = _rate((earlier.step, later.step), seconds)
    return 1 / rate if rate else None


def _rate(
    counts: tuple[float | None, float | None], seconds: tuple[float | None, float | None]
) -> float | None:
    """Change of a count per second."""
    before, after = counts
    start, end = seconds
    if before is None or after is None or start is None or end is None:
        return None
    if end <= start or after < before:
        return None
    return (after - before) / (end - start)
