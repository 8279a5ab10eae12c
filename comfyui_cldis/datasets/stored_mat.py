"""Cars3D as its authors distribute it: a folder with one .mat file for each car (needs scipy)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .optional import raise_explained
from .space import FactorSpace
from .stored_npz import CARS3D_FACTORS
from .stored_table import StoredTable


def read_cars3d_folder(path: Path) -> StoredTable:
    """Checks the first file: `im` (S, S, 3, azimuths, elevations) uint8; cars are sorted by name.

    Raises:
        ValueError: no .mat file, or a damaged or another one.
        ModuleNotFoundError: scipy is not installed.
    """
    files = sorted(path.glob("*.mat"))
    if not files:
        raise ValueError(
            f"The folder {str(path)!r} has no .mat files. Give the folder of those of Cars3D."
        )
    height, width, channels, azimuths, elevations = _load(files[0]).shape
    space = FactorSpace(CARS3D_FACTORS, (elevations, azimuths, len(files)))
    return StoredTable(
        name="cars3d",
        space=space,
        path=path,
        shape=(space.num_combinations, height, width, channels),
        mapped=None,
        blocks=lambda: _stream(files, (height, width, channels, azimuths, elevations)),
    )


def _stream(files: list[Path], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """One elevation after another, as the factors' order asks.

    The files go car by car, so each is read once per elevation; a quarter of the images is held
    at a time.
    """
    height, width, channels, azimuths, elevations = shape
    for elevation in range(elevations):
        block = np.empty((azimuths, len(files), height, width, channels), dtype=np.uint8)
        for place, file in enumerate(files):
            views = _load(file)
            if views.shape != shape:
                raise ValueError(
                    f"{str(file)!r} has views of shape {views.shape}, and {files[0].name} of "
                    f"{shape}. Download both again."
                )
            # (S, S, 3, azimuth) -> (azimuth, S, S, 3)
            block[:, place] = np.moveaxis(views[..., elevation], -1, 0)
        yield block.reshape(-1, height, width, channels)


def _load(file: Path) -> np.ndarray:
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError as error:
        raise_explained(error, f"{str(file)!r}", "scipy")
    try:
        views = loadmat(file, variable_names=["im"])["im"]
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(
            f"{str(file)!r} is not a readable .mat file with 'im' ({type(error).__name__}: "
            f"{error}). Download it again."
        ) from error
    if not isinstance(views, np.ndarray) or views.ndim != 5 or views.dtype != np.uint8:
        shape = getattr(views, "shape", None)
        raise ValueError(
            f"{str(file)!r} has 'im' of shape {shape}. Download the original of Cars3D, where it "
            "is uint8 (height, width, 3, azimuths, elevations)."
        )
    return views
