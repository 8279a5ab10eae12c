"""Opens a factor data set by name or path."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..wording import hint
from .dsprites import DSprites
from .names import DRAWN_NAMES, DSPRITES_NAME, FACTOR_NAMES, HEADS_NAME, SHAPES3D_NAME
from .optional import raise_explained
from .pixels import grey_to_rgb
from .shapes3d import Shapes3D
from .space import FactorData, FactorSpace, check_shape
from .stored import StoredImages, is_stored, read_table

DRAWN_SIZE = 64  # pixels, which every set can be drawn in


class _GreyAsRgb:
    """A grey data set whose images are repeated in three channels."""

    channels = 3

    def __init__(self, data: FactorData) -> None:
        self._data = data
        self.name = data.name
        self.space = data.space
        self.image_size = data.image_size

    def images(self, factors: np.ndarray) -> np.ndarray:
        return grey_to_rgb(self._data.images(factors))


def open_factor_data(
    source: str, image_size: int, *, channels: int | None = None, cache_dir: Path | None = None
) -> FactorData:
    """Opens images with known factors.

    Args:
        source: "shapes3d-equivalent", "dsprites-equivalent", "heads", or the path of a file:
            3dshapes.h5, dsprites_*.npz, mpi3d_*.npz, cars3d.npz, a folder of Cars3D's .mat files.
        image_size: S.
        channels: C; None takes the set's own (3, for dSprites 1); grey sets become RGB with 3.
        cache_dir: where a packed file of more than 256 MiB is unpacked, once.

    Raises:
        FileNotFoundError: nothing at `source`.
        ValueError: a number out of range, a file that is damaged or not known, or grey images
            of a coloured set.
        ModuleNotFoundError: numba ("heads"), h5py (.h5) or scipy (.mat) is not installed.
        OSError: the cache folder cannot be written.
    """
    check_shape(image_size, channels)
    return fit_channels(_open(source, image_size, cache_dir), channels)


def factor_space(source: str) -> FactorSpace:
    """The factors of a data set that `open_factor_data` would open, without reading its images.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: as that does.
    """
    path = Path(source)
    if source not in FACTOR_NAMES and path.exists():
        return read_table(path).space
    return open_factor_data(source, DRAWN_SIZE).space


def fit_channels(data: FactorData, channels: int | None) -> FactorData:
    """The data set with that number of channels.

    Raises:
        ValueError: grey images of a coloured set.
    """
    if channels is None or channels == data.channels:
        return data
    check_channels(data.name, data.channels, channels)
    return _GreyAsRgb(data)


def check_channels(name: str, own: int, wanted: int) -> None:
    """Raises a ValueError for grey images of a coloured set: they would lose its factors."""
    if own == 3 and wanted == 1:
        raise ValueError(f"channels is 1 for {name!r}, which is RGB. Use channels 3.")


def _open(source: str, image_size: int, cache_dir: Path | None) -> FactorData:
    if source == SHAPES3D_NAME:
        return Shapes3D(image_size)
    if source == DSPRITES_NAME:
        return DSprites(image_size)
    if source == HEADS_NAME:
        try:
            from .heads.factor_data import Heads  # numba is optional, and slow to import
        except ModuleNotFoundError as error:
            raise_explained(error, "'heads'", "numba", "llvmlite")
        return Heads(image_size)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no factor data {source!r}.{hint(source, FACTOR_NAMES)} Use one of "
            f"{', '.join(FACTOR_NAMES)}, or the path of 3dshapes.h5, dsprites_*.npz, mpi3d_*.npz, "
            "cars3d.npz or a folder of Cars3D's .mat files."
        )
    return StoredImages(read_table(path), image_size, cache_dir)


def is_factor_source(source: str) -> bool:
    """Whether training images of that name or path come from a factor data set.

    "heads" do not: a training draws them freely, and not at the values of the factors.
    """
    if source in FACTOR_NAMES:
        return source in DRAWN_NAMES
    return is_stored(Path(source))
