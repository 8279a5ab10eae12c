"""What tells the images of a run from others, in its states: their number and a hash of them."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..data import Images
from ..data.evenly import evenly

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK_BYTES = 32 * 2**20  # that are read at a time
SAMPLED_IMAGES = 256
_OF_ALL = "all pixels "


class Fingerprint:
    """The fingerprint of images (n, S, S, C) uint8; they are read when it is first asked for."""

    def __init__(self, images: Images) -> None:
        self.images = images

    @cached_property
    def text(self) -> str:
        """Number of the images and hash of every pixel; 20,000 images of 64 px take a second."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        hash_pixels(digest, self.images)
        return f"{len(self.images)} images, {_OF_ALL}{digest.hexdigest()[:16]}"

    def in_form_of(self, known: str) -> str:
        """This fingerprint, to be compared with one of a state.

        States of before 2026-11-28 hold the hash of at most 256 images, evenly spaced; with them
        it is compared in that form.
        """
        if _OF_ALL in known:
            return self.text
        chosen = self.images[evenly(len(self.images), SAMPLED_IMAGES)]
        digest = hashlib.sha256(np.asarray(chosen).tobytes()).hexdigest()
        return f"{len(self.images)} images, {digest[:12]}"


def hash_pixels(digest: _Hash, images: Images) -> None:
    """Adds every pixel of images (n, S, S, C) uint8 to a hash, a part at a time."""
    count = max(1, CHUNK_BYTES // math.prod(images.shape[1:]))
    for start in range(0, len(images), count):
        digest.update(np.ascontiguousarray(images[start : start + count]).data)
