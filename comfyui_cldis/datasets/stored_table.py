"""What is known of a factor data set that lies in a file, before its images are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .space import FactorSpace


@dataclass(frozen=True)
class StoredTable:
    """What a file holds: one image for each combination, in the order of their indices."""

    name: str
    space: FactorSpace
    path: Path
    shape: tuple[int, int, int, int]  # (N, S, S, C)
    mapped: Callable[[], np.ndarray] | None  # (N, S, S, C) uint8 where it lies; None: packed
    blocks: Callable[[], Iterator[np.ndarray]]  # the same in order, in pieces (n, S, S, C)
    is_binary: bool = False  # white may be stored as 1

    def __post_init__(self) -> None:
        count, height, width, channels = self.shape
        if count != self.space.num_combinations:
            raise ValueError(
                f"{str(self.path)!r} has {count:,} images, and {', '.join(self.space.names)} have "
                f"{self.space.num_combinations:,} combinations. Download the whole file again."
            )
        if height != width or height < 1 or channels not in (1, 3):
            raise ValueError(
                f"{str(self.path)!r} has images of {width} x {height} pixels and {channels} "
                "channels. Convert them to squares that are grey or RGB."
            )

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time of the file; they change when its content does."""
        files = sorted(self.path.glob("*.mat")) if self.path.is_dir() else [self.path]
        facts = [file.stat() for file in files]
        return sum(fact.st_size for fact in facts), max(fact.st_mtime_ns for fact in facts)


def check_order(path: Path, space: FactorSpace, levels: np.ndarray) -> None:
    """Raises a ValueError unless row i of a file's labels is combination i."""
    if not np.array_equal(levels, space.to_factors(np.arange(len(levels)))):
        raise ValueError(
            f"The images of {str(path)!r} are not in the order of their labels. Use the original "
            "file, which has every combination once, the last factor changing fastest."
        )
