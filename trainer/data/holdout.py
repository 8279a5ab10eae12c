"""Images held out of the training, so that a model is evaluated on some that it has not seen."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any, NamedTuple, Protocol

import numpy as np

SMALLEST_SET = 320  # different images; a smaller set needs all of its own
FEWEST, MOST = 32, 256

_STREAM = 0x4801D  # keeps the choice apart from other draws of the seed
_CHUNK = 1024


class Images(Protocol):
    """Images (n, S, S, C) uint8 that are read when they are asked for: an array, or rows of one.

    An index is one number, a slice, or an array of numbers.
    """

    @property
    def ndim(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class ImageRows:
    """Some rows of an array of images, without a copy.

    Args:
        images: (n, S, S, C) uint8.
        rows: (m,) whole numbers below n.
    """

    def __init__(self, images: np.ndarray, rows: np.ndarray) -> None:
        self.images = images
        self.rows = rows

    @property
    def ndim(self) -> int:
        return self.images.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any, /) -> np.ndarray:
        return self.images[self.rows[index]]


class Split(NamedTuple):
    """The images to train on and those held out, None when there are none."""

    training: Images
    held_out: Images | None


def hold_out(images: np.ndarray, share: float, seed: int, *, may_repeat: bool = True) -> Split:
    """Choose images at random that the training never sees.

    Of images with the same pixels all are held out, or none; only one of them is evaluated on.

    Args:
        images: (n, S, S, C) uint8.
        share: of the different images, as in `TrainConfig.held_out`.
        seed: the same seed chooses the same images.
        may_repeat: look for equal images; False when it is known that there are none.
    """
    first = first_alike(images) if may_repeat else np.arange(len(images))
    different = np.flatnonzero(first == np.arange(len(images)))
    count = num_held_out(len(different), share)
    if not count:
        return Split(images, None)
    order = np.random.default_rng([seed, _STREAM]).permutation(different)
    held = np.sort(order[:count])
    training = np.flatnonzero(~np.isin(first, held))
    return Split(ImageRows(images, training), ImageRows(images, held))


def num_held_out(num_images: int, share: float) -> int:
    """How many of so many different images are held out: 32 to 256, or none of a small set."""
    if num_images < SMALLEST_SET or share <= 0:
        return 0
    return min(MOST, max(FEWEST, round(share * num_images)))


def first_alike(images: np.ndarray) -> np.ndarray:
    """(n,): for each image the first one with the same pixels, which may be itself.

    Reads one line of each image, and only those in full whose lines are equal.
    """
    by_line: defaultdict[bytes, list[int]] = defaultdict(list)
    for start in range(0, len(images), _CHUNK):
        lines = np.asarray(images[start : start + _CHUNK, images.shape[1] // 2])
        for row, line in enumerate(lines, start):
            by_line[_digest(line)].append(row)
    first = np.arange(len(images))
    for rows in by_line.values():
        if len(rows) < 2:
            continue
        seen: dict[bytes, int] = {}
        for row in rows:
            first[row] = seen.setdefault(_digest(np.asarray(images[row])), row)
    return first


def _digest(pixels: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
