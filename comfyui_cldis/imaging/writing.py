"""Writes image files whole or not at all; what would stop it is found before the work."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryFile

from PIL import Image

from ..atomic_write import write_bytes
from .limits import MAX_WRITTEN_SIDE

OUTPUT_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".webp": "WEBP"}


def write_image(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Writes an image in the format that the name ends in; a file that is there is replaced.

    Raises:
        ValueError: the ending, or the size, is not one of the format's.
        OSError: the folder cannot be written, or the disk is full; an older file is still whole.
    """
    path = Path(path)
    check_size(path, image.width, image.height)
    encoded = io.BytesIO()
    image.save(encoded, OUTPUT_FORMATS[path.suffix.lower()], quality=95)
    write_bytes(path, encoded.getvalue())


def check_output(
    path: Path, source: Path | None = None, formats: Collection[str] = tuple(OUTPUT_FORMATS)
) -> None:
    """Refuses a place where no image can be written, or that is the source itself.

    Args:
        formats: endings that are written.

    Raises: ValueError, FileNotFoundError and PermissionError.
    """
    _check_ending(path, formats)
    if path.is_dir():
        raise ValueError(f"The output {path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The output folder {path.parent} does not exist. Create it first.")
    _check_writable(path.parent)
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ValueError(f"The output {path} is the input itself. Choose another output.")


def _check_writable(folder: Path) -> None:
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"The output folder {folder} cannot be written to ({error.strerror}). Choose another."
        ) from error


def check_size(path: Path, width: int, height: int) -> None:
    """Refuses an image larger than the format of `path` can hold; call it before the work.

    Raises: ValueError.
    """
    _check_ending(path)
    kind = OUTPUT_FORMATS[path.suffix.lower()]
    longest = MAX_WRITTEN_SIDE.get(kind)
    if longest is not None and max(width, height) > longest:
        raise ValueError(
            f"The output {path} needs up to {width} x {height} pixels; {kind} files hold at most "
            f"{longest} on a side. Choose an output that ends in .png."
        )


def free_name(path: Path) -> Path:
    """The path itself, or with the first number behind its name that no file has yet."""
    found, number = path, 2
    while found.exists():
        found = path.with_name(f"{path.stem}_{number}{path.suffix}")
        number += 1
    return found


def _check_ending(path: Path, formats: Collection[str] = tuple(OUTPUT_FORMATS)) -> None:
    if path.suffix.lower() not in formats:
        allowed = ", ".join(formats)
        raise ValueError(
            f"The output {path} has no ending that can be written. Use one of {allowed}."
        )
