"""Shapes3D as its authors distribute it: `3dshapes.h5` (needs h5py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .optional import raise_explained
from .shapes3d import SPACE
from .space import FactorSpace
from .stored_table import StoredTable, check_order

_BLOCK_BYTES = 2**27


def read_shapes3d(path: Path) -> StoredTable:
    """Checks the file's arrays 'images' (N, S, S, 3) uint8 and 'labels' (N, 6).

    Raises:
        ValueError: damaged, or other arrays.
        ModuleNotFoundError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise_explained(error, f"{str(path)!r}", "h5py")
    try:
        with h5py.File(path, "r") as file:
            images, labels = file.get("images"), file.get("labels")
            if not isinstance(images, h5py.Dataset) or not isinstance(labels, h5py.Dataset):
                raise ValueError(
                    f"{str(path)!r} has the arrays {', '.join(sorted(file)) or '(none)'}. Use the "
                    "original 3dshapes.h5, which has 'images' and 'labels'."
                )
            if images.ndim != 4 or images.dtype != np.uint8 or labels.shape != (len(images), 6):
                raise ValueError(
                    f"{str(path)!r} has images of shape {images.shape} and type {images.dtype} and "
                    f"labels of shape {labels.shape}. Use the original file, where they are "
                    "(480000, 64, 64, 3), uint8 and (480000, 6)."
                )
            shape = images.shape
            # Only plain, unpacked images have an offset.
            offset = images.id.get_offset() if images.chunks is None else None
            space = _space(path, np.asarray(labels))
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from error
    return StoredTable(
        name="shapes3d",
        space=space,
        path=path,
        shape=shape,
        mapped=None if offset is None else lambda: _map(path, offset, shape),
        blocks=lambda: _stream(path),
    )


def _space(path: Path, labels: np.ndarray) -> FactorSpace:
    columns = [np.unique(column, return_inverse=True) for column in labels.T]
    space = FactorSpace(SPACE.names, tuple(len(values) for values, _ in columns))
    if space.num_combinations != len(labels):
        raise ValueError(
            f"{str(path)!r} has {len(labels):,} labels for {space.num_combinations:,} "
            "combinations. Use the original file, which has one for each."
        )
    check_order(path, space, np.stack([places.reshape(-1) for _, places in columns], axis=1))
    return space


def _map(path: Path, offset: int, shape: tuple[int, int, int, int]) -> np.ndarray:
    try:
        return np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _stream(path: Path) -> Iterator[np.ndarray]:
    """Reads in steps of whole chunks: a chunk may hold a strip of thousands of images."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            images = file["images"]
            assert isinstance(images, h5py.Dataset)
            chunk = images.chunks[0] if images.chunks else 1
            image_bytes = int(np.prod(images.shape[1:]))
            step = chunk * max(1, _BLOCK_BYTES // (chunk * image_bytes))
            for start in range(0, len(images), step):
                yield images[start : start + step]
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{str(path)!r} is not a readable HDF5 file ({error}). Download it again.")
