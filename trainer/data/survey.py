"""Looks at every image of a data set once and sums up what a person should know of it.

An image leaves some 40 bytes here, so that the summary of 100,000 images needs 4 MB and no
second reading.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from comfyui_cldis.editing.framing import ResizeRule

from .decode import Decoded
from .evenly import evenly

NEAR_CONSTANT_STD = 2.0  # of 255 levels, in the channel that varies most
MAX_NAMED = 10  # pairs of duplicates and near-constant images that are named
MAX_SAMPLES = 64

_DIGEST_BYTES = 16
_CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of the pixels of one image."""

    digest: bytes  # 128 bits of BLAKE2b: equal pixels, and no others, give equal digests
    is_near_constant: bool


@dataclass(frozen=True)
class Findings:
    """What a survey found. Sizes are (width, height) of the upright originals, in pixels."""

    smallest: tuple[int, int]  # by area, as the next two
    median: tuple[int, int]
    largest: tuple[int, int]
    num_enlarged: int  # images whose resize rule had to invent pixels
    num_cropped: int  # images that are not square and lose their ends; 0 for other rules
    mean_cut: float  # share of their area that those lose, on average
    largest_cut: tuple[float, str]  # the greatest such share and its image; (0, "") for none
    modes: tuple[tuple[str, int], ...]  # Pillow's names with their number, most frequent first
    num_duplicates: int  # images whose decoded pixels equal those of an earlier one
    num_repeated: int  # different images that are there more than once
    most_repeated: tuple[int, str]  # how often the most frequent is there, and its first; (1, "")
    duplicates: tuple[tuple[str, str], ...]  # the first few, as (earlier, repeated)
    num_near_constant: int
    near_constant: tuple[str, ...]  # the first few
    samples: tuple[tuple[int, str], ...]  # evenly spaced (row, name)


def take_fingerprint(pixels: np.ndarray) -> Fingerprint:
    """Takes the fingerprint of one image, (S, S, C) uint8."""
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=_DIGEST_BYTES).digest()
    return Fingerprint(digest, _largest_variance(pixels) < NEAR_CONSTANT_STD**2)


def _largest_variance(pixels: np.ndarray) -> float:
    """The variance of the channel that varies most; ten times as fast as numpy's `var`."""
    # (S, S, C) -> (S * S, C), seen from the first pixel: exact in float32 where it matters.
    values = pixels.reshape(-1, pixels.shape[-1]).astype(np.float32)
    values -= values[0].copy()
    weights = np.full(len(values), 1 / len(values), dtype=np.float32)
    return float((weights @ (values * values) - (weights @ values) ** 2).max())


class Survey:
    """Collects one entry per image, in the order of the rows."""

    def __init__(self, capacity: int) -> None:
        self._count = 0
        self._digests = np.zeros((capacity, 2), dtype=np.uint64)
        self._sizes = np.zeros((capacity, 2), dtype=np.int64)
        self._is_near_constant = np.zeros(capacity, dtype=bool)
        self._modes: Counter[str] = Counter()

    def add(self, image: Decoded, fingerprint: Fingerprint) -> None:
        """Adds the next image."""
        self._add(fingerprint, image.width, image.height, image.mode)

    def add_drawn(self, pixels: np.ndarray) -> None:
        """Adds images that were drawn at their final size, (n, S, S, C) uint8."""
        height, width, channels = pixels.shape[1:]
        for image in pixels:
            mode = "RGB" if channels == 3 else "L"
            self._add(take_fingerprint(image), width, height, mode)

    def _add(self, fingerprint: Fingerprint, width: int, height: int, mode: str) -> None:
        row = self._count
        self._digests[row] = np.frombuffer(fingerprint.digest, dtype=np.uint64)
        self._sizes[row] = width, height
        self._is_near_constant[row] = fingerprint.is_near_constant
        self._modes[mode] += 1
        self._count += 1

    def sum_up(
        self, image_size: int, resize: ResizeRule, name_of: Callable[[int], str]
    ) -> Findings:
        """Sums up the images added so far.

        Args:
            image_size: S of the decoded squares.
            resize: decides which side counts as enlarged: "pad" fits the long side, the others
                need the short one.
            name_of: the name of a row.

        Raises:
            ValueError: no image was added.
        """
        if not self._count:
            raise ValueError("There is no image to sum up. Add at least one.")
        sizes = self._sizes[: self._count]
        by_area = np.argsort(sizes.prod(axis=1), kind="stable")
        needed = sizes.max(axis=1) if resize == "pad" else sizes.min(axis=1)
        cut = 1 - sizes.min(axis=1) ** 2 / sizes.prod(axis=1)  # (n,)
        if resize != "crop":
            cut = np.zeros_like(cut)
        num_cropped, worst = int((cut > 0).sum()), int(cut.argmax())
        pairs = self._equal_rows()
        repeated, copies = np.unique(pairs[:, 0], return_counts=True)
        most = int(copies.argmax()) if len(copies) else None
        flat = np.flatnonzero(self._is_near_constant[: self._count])
        samples = evenly(self._count, MAX_SAMPLES)
        return Findings(
            smallest=_pair(sizes[by_area[0]]),
            median=_pair(sizes[by_area[self._count // 2]]),
            largest=_pair(sizes[by_area[-1]]),
            num_enlarged=int((needed < image_size).sum()),
            num_cropped=num_cropped,
            mean_cut=float(cut.sum() / max(1, num_cropped)),
            largest_cut=(float(cut[worst]), name_of(worst)) if num_cropped else (0.0, ""),
            modes=tuple(self._modes.most_common()),
            num_duplicates=len(pairs),
            num_repeated=len(repeated),
            most_repeated=(1, "")
            if most is None
            else (1 + int(copies[most]), name_of(int(repeated[most]))),
            duplicates=tuple((name_of(a), name_of(b)) for a, b in pairs[:MAX_NAMED].tolist()),
            num_near_constant=len(flat),
            near_constant=tuple(name_of(row) for row in flat[:MAX_NAMED].tolist()),
            samples=tuple((row, name_of(row)) for row in samples.tolist()),
        )

    def _equal_rows(self) -> np.ndarray:
        """(d, 2) rows (first, repeated) for each repeated image, in the order of the latter."""
        digests = self._digests[: self._count]
        _, first, group = np.unique(digests, axis=0, return_index=True, return_inverse=True)
        earliest = first[group.reshape(-1)]  # numpy 2.0 alone gives the groups another shape
        repeated = np.flatnonzero(earliest != np.arange(self._count))
        return np.stack([earliest[repeated], repeated], axis=1)


def survey_drawn(
    pixels: np.ndarray, name_of: Callable[[int], str], resize: ResizeRule = "crop"
) -> Findings:
    """Surveys a finished array of drawn images, (n, S, S, C) uint8, piece by piece."""
    survey = Survey(len(pixels))
    step = max(1, _CHUNK_BYTES // pixels[0].nbytes)
    for start in range(0, len(pixels), step):
        survey.add_drawn(pixels[start : start + step])
    return survey.sum_up(pixels.shape[1], resize, name_of)


def _pair(size: np.ndarray) -> tuple[int, int]:
    return int(size[0]), int(size[1])
