"""dSprites, MPI3D and Cars3D as .npz files: zip files of arrays, read without unpickling."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .space import FactorSpace
from .stored_table import StoredTable, check_order

DSPRITES_FACTORS = ("shape", "scale", "orientation", "position_x", "position_y")
MPI3D_FACTORS = (
    "object_color",
    "object_shape",
    "object_size",
    "camera_height",
    "background_color",
    "horizontal_axis",
    "vertical_axis",
)
CARS3D_FACTORS = ("elevation", "azimuth", "object")
# Gondal et al. 2019: toy, realistic and real share one grid; real_complex has four colours and
# four shapes. Reed et al. 2015: 183 cars.
KNOWN_GRIDS = {
    1_036_800: FactorSpace(MPI3D_FACTORS, (6, 6, 2, 3, 3, 40, 40)),
    460_800: FactorSpace(MPI3D_FACTORS, (4, 4, 2, 3, 3, 40, 40)),
    17_568: FactorSpace(CARS3D_FACTORS, (4, 24, 183)),
}
FACTORS_OF_AXES = {7: MPI3D_FACTORS, 3: CARS3D_FACTORS}

_BLOCK_BYTES = 2**24
_MAX_LABEL_BYTES = 2**28
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,  # a password is asked for, or a compression that Python does not know
)


@dataclass(frozen=True)
class _Array:
    """An array in a .npz file, known by its header."""

    path: Path
    entry: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype
    header_bytes: int

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_npz(path: Path) -> StoredTable:
    """Recognises dSprites, MPI3D or Cars3D.

    Raises:
        ValueError: damaged, or none of them.
    """
    arrays = _read_headers(path)
    images = arrays.get("imgs") or arrays.get("images")
    if images is None:
        raise ValueError(
            f"{str(path)!r} has the arrays {', '.join(sorted(arrays)) or '(none)'}. Use one with "
            "'imgs' or 'images': dsprites_*.npz, mpi3d_*.npz or cars3d.npz."
        )
    if images.dtype not in (np.dtype(np.uint8), np.dtype(bool)):
        raise ValueError(f"{str(path)!r} has images of type {images.dtype}. Convert them to uint8.")
    if images.entry.file_size != images.header_bytes + images.num_bytes:
        raise ValueError(
            f"The images of {str(path)!r} do not have the size they claim. Download it again."
        )
    if "latents_classes" in arrays:
        space = _dsprites_space(arrays["latents_classes"])
        return _table("dsprites", space, images, images.shape[1:])
    return _table_of_grid(path, images)


def _table_of_grid(path: Path, images: _Array) -> StoredTable:
    """MPI3D and Cars3D carry no labels: the number of images, or their axes, tell the grid."""
    axes = len(images.shape) - 3
    if axes == 1 and images.shape[0] in KNOWN_GRIDS:
        space = KNOWN_GRIDS[images.shape[0]]
    elif axes in FACTORS_OF_AXES and min(images.shape) > 0:
        space = FactorSpace(FACTORS_OF_AXES[axes], images.shape[:axes])
    else:
        counts = ", ".join(f"{count:,}" for count in KNOWN_GRIDS)
        raise ValueError(
            f"{str(path)!r} has images of shape {images.shape}. Use a file of {counts} images "
            "(MPI3D, MPI3D real complex, Cars3D) in the original order."
        )
    name = "cars3d" if space.names == CARS3D_FACTORS else path.stem.lower()
    return _table(name, space, images, images.shape[axes:])


def _table(
    name: str, space: FactorSpace, images: _Array, image_shape: tuple[int, ...]
) -> StoredTable:
    if len(image_shape) == 2:
        image_shape = (*image_shape, 1)
    if len(image_shape) != 3:
        raise ValueError(
            f"{str(images.path)!r} has images of shape {images.shape}. Convert them to (number, "
            "height, width) or (number, height, width, channels)."
        )
    height, width, channels = image_shape
    count = math.prod(images.shape) // max(1, height * width * channels)
    shape = (count, height, width, channels)
    is_packed = images.entry.compress_type != zipfile.ZIP_STORED
    return StoredTable(
        name=name,
        space=space,
        path=images.path,
        shape=shape,
        mapped=None if is_packed else lambda: _map(images, shape),
        blocks=lambda: _stream(images, shape),
        is_binary=name == "dsprites",
    )


def _dsprites_space(classes: _Array) -> FactorSpace:
    path = classes.path
    if classes.num_bytes > _MAX_LABEL_BYTES or classes.dtype.kind not in "iu":
        raise ValueError(
            f"{str(path)!r} has labels of shape {classes.shape} and type {classes.dtype}. Use the "
            "original file, where they are (737280, 6) whole numbers."
        )
    try:
        with zipfile.ZipFile(path) as archive, archive.open(classes.entry) as file:
            levels = np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if levels.ndim != 2 or levels.shape[1] != 6 or not len(levels) or levels.min() < 0:
        raise ValueError(
            f"{str(path)!r} has labels of shape {levels.shape}. Use the original file, where they "
            "are (737280, 6): colour, shape, scale, orientation, x, y."
        )
    levels = levels[:, 1:]  # the colour is always white
    space = FactorSpace(DSPRITES_FACTORS, tuple((levels.max(axis=0) + 1).tolist()))
    if space.num_combinations != len(levels):
        raise ValueError(
            f"{str(path)!r} has {len(levels):,} labels for {space.num_combinations:,} "
            "combinations. Use the original file, which has one for each."
        )
    check_order(path, space, levels)
    return space


def _read_headers(path: Path) -> dict[str, _Array]:
    """The plain arrays of the file by name; pickled ones, which we never load, are left out."""
    arrays: dict[str, _Array] = {}
    try:  # a damaged header can raise anything
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".npy"):
                    continue
                with archive.open(entry) as file:
                    version = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, is_fortran, dtype = read(file)
                    if not dtype.hasobject and not is_fortran:
                        name = entry.filename[: -len(".npy")]
                        arrays[name] = _Array(path, entry, shape, dtype, file.tell())
    except Exception as error:
        raise _damaged(path, error) from error
    return arrays


def _map(images: _Array, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Maps an array that is stored without compression, where it lies in the zip file."""
    with images.path.open("rb") as file:
        file.seek(images.entry.header_offset)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise _damaged(images.path, "no entry where the directory says")
        # The directory's copy of the name and the extra field may differ in length from this one.
        name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
        file.seek(0, 2)
        start = images.entry.header_offset + 30 + name_bytes + extra_bytes
        start += images.header_bytes
        if start + images.num_bytes > file.tell():
            raise _damaged(images.path, "it is cut off")
    return np.memmap(images.path, dtype=np.uint8, mode="r", offset=start, shape=shape)


def _stream(images: _Array, shape: tuple[int, int, int, int]) -> Iterator[np.ndarray]:
    image_bytes = math.prod(shape[1:])
    step = max(1, _BLOCK_BYTES // image_bytes)
    try:
        with zipfile.ZipFile(images.path) as archive, archive.open(images.entry) as file:
            file.read(images.header_bytes)
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                data = file.read(count * image_bytes)
                if len(data) != count * image_bytes:
                    raise EOFError("it is cut off")
                yield np.frombuffer(data, dtype=np.uint8).reshape(count, *shape[1:])
    except _DAMAGE as error:
        raise _damaged(images.path, error) from error


def _damaged(path: Path, error: Exception | str) -> ValueError:
    return ValueError(f"{str(path)!r} is not a readable .npz file ({error}). Download it again.")
