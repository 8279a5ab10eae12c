"""Factor data sets that somebody has as files: found, checked, and read image by image.

A file's images are mapped where they lie when the file allows that. Otherwise they are unpacked:
small sets into memory, large ones once into a cache folder.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..atomic_write import replacing
from ..imaging.limits import ENDINGS
from .mapped_file import create_map, prepare_folder
from .pixels import resize_pixels
from .stored_h5 import read_shapes3d
from .stored_mat import read_cars3d_folder
from .stored_npz import read_npz
from .stored_table import StoredTable

MAX_MEMORY_BYTES = 2**28  # of a set that is unpacked without a cache folder
FILE_ENDINGS = (".h5", ".hdf5", ".npz")


class StoredImages:
    """Reads images (n, S, S, C) of a file, brought to S = `image_size`."""

    def __init__(self, table: StoredTable, image_size: int, cache_dir: Path | None) -> None:
        """Maps the images, unpacking them first when they are packed.

        Raises:
            ValueError: packed, too large for memory, and no cache folder given; or damaged.
            OSError: the cache folder cannot be written.
        """
        self.name = table.name
        self.space = table.space
        self.image_size = image_size
        self.channels = table.shape[3]
        self._rows = table.mapped() if table.mapped is not None else _unpack(table, cache_dir)
        is_zero_or_one = table.is_binary and self._rows[:64].max() <= 1
        self._gain = np.uint8(255 if is_zero_or_one else 1)

    def images(self, factors: np.ndarray) -> np.ndarray:
        """Levels (n, K) -> (n, S, S, C) uint8."""
        pixels = np.asarray(self._rows[self.space.to_index(factors)]) * self._gain
        return resize_pixels(pixels, self.image_size)


def is_stored(path: Path) -> bool:
    """Whether a path looks like a factor data set and not like a folder of images.

    A folder is one, Cars3D, if it has .mat files, no images and no folders but hidden ones: images
    in folders may come with .mat files of labels.
    """
    if not path.is_dir():
        return path.suffix.lower() in FILE_ENDINGS
    has_mat = False
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.endswith(ENDINGS) or (entry.is_dir() and not name.startswith(".")):
                return False
            has_mat = has_mat or name.endswith(".mat")
    return has_mat


def read_table(path: Path) -> StoredTable:
    """Recognises a file by what it holds, without reading its images.

    Known are `3dshapes.h5`, `dsprites_*.npz`, `mpi3d_*.npz`, `cars3d.npz`, and the folder of
    Cars3D's .mat files.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: damaged, or not one of the known files.
        ModuleNotFoundError: h5py or scipy is needed and not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no factor data {str(path)!r}. Check the path.")
    if path.is_dir():
        return read_cars3d_folder(path)
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return read_shapes3d(path)
    raise ValueError(
        f"{str(path)!r} is no factor data that can be read. Use 3dshapes.h5, dsprites_*.npz, "
        "mpi3d_*.npz, cars3d.npz or a folder of Cars3D's .mat files."
    )


def _unpack(table: StoredTable, cache_dir: Path | None) -> np.ndarray:
    num_bytes = int(np.prod(table.shape, dtype=np.int64))
    if num_bytes <= MAX_MEMORY_BYTES:
        rows = np.empty(table.shape, dtype=np.uint8)
        _fill(rows, table)
        return rows
    if cache_dir is None:
        raise ValueError(
            f"The images of {str(table.path)!r} take {num_bytes / 2**30:.1f} GiB unpacked, and "
            "there is no folder for them. Give a cache folder."
        )
    facts = repr((str(table.path.resolve()), table.stamp, table.shape))
    digest = hashlib.sha256(facts.encode("utf-8", "backslashreplace")).hexdigest()
    unpacked = cache_dir / f"unpacked-{digest[:20]}.npy"
    if not unpacked.exists():
        prepare_folder(cache_dir, num_bytes)
        with replacing(unpacked) as temporary:
            rows = create_map(temporary, table.shape)
            try:
                _fill(rows, table)
                rows.flush()
            finally:
                del rows  # Windows renames and removes only closed files
    rows = np.load(unpacked, mmap_mode="r")
    if rows.shape != table.shape or rows.dtype != np.uint8:
        raise ValueError(f"{str(unpacked)!r} is damaged. Delete it and run again.")
    return rows


def _fill(rows: np.ndarray, table: StoredTable) -> None:
    start = 0
    with tqdm(total=len(rows), desc=f"unpacking {table.name}", unit="img") as progress:
        for block in table.blocks():
            rows[start : start + len(block)] = block
            start += len(block)
            progress.update(len(block))
    if start != len(rows):
        raise ValueError(
            f"{str(table.path)!r} ends after {start:,} of {len(rows):,} images. Download it again."
        )
