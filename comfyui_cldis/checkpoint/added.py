"""The tensors that format version 2 adds for its directions: bent paths and thumbnails.

`directions.paths` (sum of P, N) float32 holds the points of all paths, one path after the other;
`directions.thumbnails` (T, 3, S, S, 3) uint8 those of the T directions that have some, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..editing.code_path import MAX_POINTS
from ..editing.direction import THUMBNAIL_SIDES, Direction
from .header import CheckpointError, damaged

PATHS, THUMBNAILS = "directions.paths", "directions.thumbnails"
MAX_THUMBNAIL_BYTES = 32 * 1024 * 1024  # of a whole file


@dataclass(frozen=True)
class Layout:
    """Which directions of a file have rows in the added tensors.

    Attributes:
        path_lengths: points of each direction's path, 0 without one.
        sides: side of each direction's thumbnails in pixels, 0 without; all others are alike.
    """

    path_lengths: tuple[int, ...]
    sides: tuple[int, ...]

    def shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the added tensors; those without rows are left out of the file."""
        shapes: dict[str, tuple[int, ...]] = {}
        if any(self.path_lengths):
            shapes[PATHS] = (sum(self.path_lengths), latent_dim)
        side, count = max(self.sides, default=0), sum(side > 0 for side in self.sides)
        if count:
            shapes[THUMBNAILS] = (count, 3, side, side, 3)
        return shapes

    def share_out(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """For each direction its "path_points" and "thumbnails", where it has them."""
        added: list[dict[str, Any]] = []
        point = image = 0
        for length, side in zip(self.path_lengths, self.sides, strict=True):
            more: dict[str, Any] = {}
            if length:
                more["path_points"] = tensors[PATHS][point : point + length].tolist()
                point += length
            if side:
                more["thumbnails"] = tensors[THUMBNAILS][image].clone()
                image += 1
            added.append(more)
        return added


def read_layout(entries: Sequence[Mapping[str, Any]], name: str) -> Layout:
    """What the header's list of directions says of the added tensors; nothing large is read.

    Raises: CheckpointError for sizes beyond the limits.
    """
    lengths, sides = [], []
    for index, entry in enumerate(entries):
        amounts, side = entry.get("path_amounts"), entry.get("thumbnails", 0)
        if "path_amounts" in entry and not (
            isinstance(amounts, list) and 2 <= len(amounts) <= MAX_POINTS
        ):
            raise damaged(name, f"gives direction {index} a path without 2 to {MAX_POINTS} amounts")
        smallest, largest = THUMBNAIL_SIDES
        if "thumbnails" in entry and not (type(side) is int and smallest <= side <= largest):
            raise damaged(
                name, f"gives direction {index} thumbnails without {smallest} to {largest} pixels"
            )
        if not isinstance(entry.get("quality", {}), Mapping):
            raise damaged(name, f"gives direction {index} a quality that is no JSON object")
        lengths.append(len(amounts) if amounts else 0)
        sides.append(side)
    layout = Layout(tuple(lengths), tuple(sides))
    try:
        _check_thumbnails(layout)
    except ValueError as error:
        raise damaged(name, f"is refused: {error}") from error
    return layout


def added_tensors(directions: Sequence[Direction]) -> dict[str, Tensor]:
    """The added tensors of `directions`, those without rows left out.

    Raises: CheckpointError for thumbnails of unlike sizes, or too many of them.
    """
    paths = [direction.path for direction in directions if direction.path is not None]
    images = [each.thumbnails for each in directions if each.thumbnails is not None]
    sides = tuple(image.shape[1] for image in images)
    try:
        _check_thumbnails(Layout((0,) * len(sides), sides))
    except ValueError as error:
        raise CheckpointError(f"The model cannot be written: {error}.") from error
    tensors: dict[str, Tensor] = {}
    if paths:
        points = [point for path in paths for point in path.points]
        tensors[PATHS] = torch.tensor(points, dtype=torch.float32)
    if images:
        tensors[THUMBNAILS] = torch.stack([image.cpu() for image in images])
    return tensors


def _check_thumbnails(layout: Layout) -> None:
    sides = {side for side in layout.sides if side}
    if len(sides) > 1:
        raise ValueError(
            f"its thumbnails have unlike sides ({', '.join(map(str, sorted(sides)))} pixels); "
            "all need one"
        )
    size = sum(9 * side * side for side in layout.sides)
    if size > MAX_THUMBNAIL_BYTES:
        raise ValueError(
            f"its thumbnails need {size} bytes, more than the {MAX_THUMBNAIL_BYTES} allowed"
        )
