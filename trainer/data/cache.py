"""A folder of finished data sets: pixels in a .npy file, and beside it the report in a .json file.

Files are named `<slot>-<key>`. The key hashes everything the pixels depend on; the slot only where
they come from and how they are wanted, so that the older copies of a changed folder are found. They
stay until somebody has accepted the newer one. The .json file is written last: without it a data
set does not count as finished.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comfyui_cldis.atomic_write import ENDING, replacing, write_text
from comfyui_cldis.datasets.mapped_file import create_map, prepare_folder

from .report import DataReport


@dataclass(frozen=True)
class CacheEntry:
    """The place of a data set in a cache folder."""

    folder: Path  # made if it is not there
    slot: str
    key: str
    shape: tuple[int, int, int, int]  # (capacity, S, S, C); the report's `used` rows count

    @classmethod
    def of(
        cls,
        folder: Path,
        shape: tuple[int, int, int, int],
        *,
        origin: str,
        wanted: dict[str, Any],
        state: dict[str, Any],
    ) -> CacheEntry:
        """Names the place.

        Args:
            folder: the cache folder.
            shape: of the pixels.
            origin: the folder, file or built-in set; a copy elsewhere finds the same key.
            wanted: JSON-able settings.
            state: JSON-able facts that make new pixels when they change.
        """
        slot = _hash({"origin": origin, "wanted": wanted})[:12]
        return cls(folder, slot, _hash({"wanted": wanted, "state": state})[:20], shape)

    def older(self) -> tuple[Path, ...]:
        """What the same folder gave before it changed."""
        own = f"{self.slot}-{self.key}"
        found = self.folder.glob(f"{self.slot}-*")
        return tuple(path for path in sorted(found) if not path.name.startswith(own))

    def path(self, ending: str) -> Path:
        """The file with that ending, which need not exist."""
        return self.folder / f"{self.slot}-{self.key}{ending}"


def load_or_build(
    entry: CacheEntry,
    source: str,
    build: Callable[[np.ndarray], DataReport],
    *,
    retry_failed: bool = True,
) -> tuple[np.ndarray, DataReport, tuple[Path, ...]]:
    """Maps the cached pixels, read-only; builds them first when they are missing.

    The files of `CacheEntry.older` come with them, for `remove_files`.

    Args:
        entry: of `CacheEntry.of`.
        source: named in the report.
        build: fills the array from the front and reports what it did.
        retry_failed: build again what lacks files that could not be read for a reason that may
            pass; False for whoever must have what was built before, such as a run that resumes.

    Raises:
        OSError: the folder cannot be written, or the disk is too full.
    """
    for report_path in sorted(entry.folder.glob(f"*-{entry.key}.json")):
        report = _read_report(report_path)
        if report is None or (retry_failed and report.num_passing):
            continue
        pixels = _map_pixels(report_path.with_suffix(".npy"), entry.shape)
        if pixels is not None:
            return pixels[: report.used], replace(report, source=source), entry.older()
    report = _build(entry, build)
    pixels = _map_pixels(entry.path(".npy"), entry.shape)
    if pixels is None:
        raise OSError(f"{entry.path('.npy')} was changed while it was in use. Run the same again.")
    return pixels[: report.used], replace(report, source=source), entry.older()


def remove_files(paths: Iterable[Path]) -> None:
    """Removes files of a cache that nobody needs any more."""
    for path in paths:
        with suppress(OSError):  # on Windows, while another process still reads it
            path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Removes what a kill left of data sets that were being built; of a cache with one user."""
    remove_files(folder.glob(f".*{ENDING}"))


def _hash(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("ascii")).hexdigest()


def _read_report(path: Path) -> DataReport | None:
    try:
        return DataReport.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # missing, damaged or of another version: it is built again


def _map_pixels(path: Path, shape: tuple[int, int, int, int]) -> np.ndarray | None:
    try:
        pixels = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _build(entry: CacheEntry, build: Callable[[np.ndarray], DataReport]) -> DataReport:
    prepare_folder(entry.folder, math.prod(entry.shape))
    with replacing(entry.path(".npy")) as temporary:
        pixels = create_map(temporary, entry.shape)
        try:
            report = build(pixels)
            pixels.flush()
        finally:
            del pixels  # Windows renames and removes only closed files
    write_text(entry.path(".json"), report.to_json())
    return report
