"""Arrays of images in a file that is mapped rather than held in memory."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np


def create_map(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Makes a .npy file of uint8 zeros, mapped for writing.

    Raises:
        OSError: its folder cannot be written, or has too little room.
    """
    num_bytes = math.prod(shape)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        # Writing to a memory map on a full disk would kill the process without a word.
        if free < num_bytes:
            raise OSError(
                f"The cache folder {str(path.parent)!r} has {free / 2**30:.2f} GiB free and the "
                f"images need {num_bytes / 2**30:.2f} GiB. Free space there, or choose another "
                "folder."
            )
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            f"The cache folder {str(path.parent)!r} cannot be written ({error.strerror or error}). "
            "Choose a folder you may write to."
        ) from error
