"""Arrays of images in a file that is mapped rather than held in memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np


def prepare_folder(folder: Path, num_bytes: int) -> None:
    """Makes the folder, if it is not there, and checks that a file of that size can be written.

    Raises:
        OSError: the folder cannot be written, or has too little room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OSError(
            f"The cache folder {str(folder)!r} cannot be written ({error.strerror or error}). "
            "Choose a folder you may write to."
        ) from error
    # Writing to a memory map on a full disk would kill the process without a word.
    if free < num_bytes:
        raise OSError(
            f"The cache folder {str(folder)!r} has {free / 2**30:.2f} GiB free and the images "
            f"need {num_bytes / 2**30:.2f} GiB. Free space there, or choose another folder."
        )


def create_map(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Makes a .npy file of uint8 zeros, mapped for writing; see `prepare_folder`."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
