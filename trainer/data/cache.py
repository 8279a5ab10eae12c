"""A folder of finished data sets: pixels in a .npy file, and beside it the report in a .json file.

A data set is found by a key that hashes everything its pixels depend on. The .json file is written
last: without it a data set does not count as finished.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .report import DataReport


def make_key(facts: dict[str, Any]) -> str:
    """Hashes JSON-able facts to 20 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:20]


def load_or_build(
    cache_dir: Path,
    key: str,
    shape: tuple[int, int, int, int],
    source: str,
    build: Callable[[np.ndarray], DataReport],
) -> tuple[np.ndarray, DataReport]:
    """Maps the cached pixels, read-only; builds them first when they are missing.

    Args:
        cache_dir: made if it is not there.
        key: of `make_key`.
        shape: (capacity, S, S, C); the report's `used` says how many rows count.
        source: named in the report.
        build: fills the array from the front and reports what it did.

    Raises:
        OSError: the folder cannot be written, or the disk is too full.
    """
    pixels_path, report_path = cache_dir / f"{key}.npy", cache_dir / f"{key}.json"
    report = _read_report(report_path)
    pixels = _map_pixels(pixels_path, shape) if report is not None else None
    if report is None or pixels is None:
        report = _build(cache_dir, pixels_path, report_path, shape, build)
        pixels = _map_pixels(pixels_path, shape)
        if pixels is None:
            raise OSError(f"{pixels_path} was changed while it was in use; run the same again")
    return pixels[: report.used], replace(report, source=source)


def _read_report(path: Path) -> DataReport | None:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return DataReport(
            source=facts["source"],
            found=int(facts["found"]),
            used=int(facts["used"]),
            skipped=tuple((str(name), str(reason)) for name, reason in facts["skipped"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is built again


def _map_pixels(path: Path, shape: tuple[int, int, int, int]) -> np.ndarray | None:
    try:
        pixels = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _build(
    cache_dir: Path,
    pixels_path: Path,
    report_path: Path,
    shape: tuple[int, int, int, int],
    build: Callable[[np.ndarray], DataReport],
) -> DataReport:
    unique = uuid.uuid4().hex
    pixels_part = cache_dir / f"{unique}.npy.part"
    report_part = cache_dir / f"{unique}.json.part"
    _make_room(cache_dir, math.prod(shape))
    try:
        pixels = _create_map(pixels_part, shape)
        report = build(pixels)
        pixels.flush()
        del pixels  # Windows renames only closed files
        report_part.write_text(json.dumps(asdict(report)), encoding="utf-8")
        os.replace(pixels_part, pixels_path)
        os.replace(report_part, report_path)
    finally:
        pixels_part.unlink(missing_ok=True)
        report_part.unlink(missing_ok=True)
    return report


def _make_room(cache_dir: Path, num_bytes: int) -> None:
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache_dir).free
    except OSError as error:
        raise _unwritable(cache_dir, error) from error
    # Writing to a memory map on a full disk would kill the process without a word.
    if free < num_bytes:
        raise OSError(
            f"got cache folder {str(cache_dir)!r} with {free / 2**30:.2f} GiB free; the pictures "
            f"need {num_bytes / 2**30:.2f} GiB; free space there or choose another folder"
        )


def _create_map(path: Path, shape: tuple[int, int, int, int]) -> np.memmap:
    try:
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(cache_dir: Path, error: OSError) -> OSError:
    return OSError(
        f"got cache folder {str(cache_dir)!r}, which cannot be written "
        f"({error.strerror or error}); choose a folder you may write to"
    )
