"""Image files to tensors and back, for the command line.

One rule for every input: the camera's rotation is applied, transparent parts are laid over white,
grey becomes three equal channels, 16-bit values are rounded to 8 bits, and an animation gives its
first frame.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .imaging.sheet import to_image

OUTPUT_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
UNREADABLE = (
    OSError,
    SyntaxError,  # what Pillow raises for a broken PNG chunk
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read_image(path: str | os.PathLike[str], channels: int = 3) -> Tensor:
    """Reads an image file as (1, channels, H, W) in [-1, 1]; channels is 3 or 1.

    Raises: FileNotFoundError, or ValueError for a file that is no readable image.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder. Name an image file in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no image {path}. Check the name.")
    try:
        with Image.open(path) as file:
            opened = ImageOps.exif_transpose(file)
            opened.load()
    except UNREADABLE as error:
        raise ValueError(
            f"{path.name} cannot be read as an image ({_reason(error)}). "
            "Use a PNG, JPEG or WebP file that other programs can open."
        ) from error
    opened = _to_rgb(opened, path.name).convert("L" if channels == 1 else "RGB")
    pixels = np.array(opened, dtype=np.uint8).reshape(opened.height, opened.width, channels)
    image = torch.from_numpy(pixels).permute(2, 0, 1)  # (H, W, C) -> (C, H, W)
    return image[None].float().div(127.5).sub(1)


def write_image(path: str | os.PathLike[str], opened: Image.Image | Tensor) -> None:
    """Writes an image, or an image (C, H, W) in [-1, 1], in the format that the name ends in."""
    path = Path(path)
    if isinstance(opened, Tensor):
        opened = to_image(opened)
    encoded = io.BytesIO()
    opened.save(encoded, OUTPUT_FORMATS[path.suffix.lower()], quality=95)
    path.write_bytes(encoded.getvalue())


def check_output(path: Path, source: Path | None = None) -> None:
    """Refuses a place where no image can be written, or that is the source itself.

    Raises: ValueError and FileNotFoundError.
    """
    if path.suffix.lower() not in OUTPUT_FORMATS:
        allowed = ", ".join(OUTPUT_FORMATS)
        raise ValueError(f"The output {path} has no image ending; allowed are {allowed}.")
    if path.is_dir():
        raise ValueError(f"The output {path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The output folder {path.parent} does not exist. Create it first.")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ValueError(f"The output {path} is the input itself. Choose another name.")


def free_name(path: Path) -> Path:
    """The path itself, or with the first number behind its name that no file has yet."""
    found, number = path, 2
    while found.exists():
        found = path.with_name(f"{path.stem}_{number}{path.suffix}")
        number += 1
    return found


def _to_rgb(opened: Image.Image, name: str) -> Image.Image:
    if opened.mode == "F":
        raise ValueError(f"{name} has floating-point pixels. Save it with 8 or 16 bits.")
    if opened.mode.startswith("I"):
        levels = np.asarray(opened).astype(np.float64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"{name} has more than 16 bits per pixel. Save it with 8 or 16 bits.")
        return Image.fromarray((levels / 257).round().astype(np.uint8)).convert("RGB")
    if opened.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in opened.info:
        opened = opened.convert("RGBA")
        white = Image.new("RGBA", opened.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, opened).convert("RGB")
    return opened.convert("RGB")


def _reason(error: BaseException) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return "it has too many pixels"
    if isinstance(error, Image.UnidentifiedImageError):
        return "unknown format"
    return str(error).rstrip(".") or type(error).__name__
