"""A photograph that is edited in place: what the edit does not touch stays as it is in the file.

    in the file             as it is edited and written
    RGB, RGB with alpha     in its own colours; only edited pixels go to sRGB and back
    palette                 RGB, in the colours of its profile
    grey, CMYK, Lab, 16 bit 8-bit sRGB: `lost` says so

EXIF data (the orientation and the small preview in it left out), colour profile and resolution go
into the written file. A JPEG file written from one is compressed with the same tables, so that
blocks which did not change come out the same but for rounding.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from ..atomic_write import write_bytes
from .colour import from_srgb, to_eight_bits, to_srgb
from .reading import StoredImage, read_stored
from .writing import OUTPUT_FORMATS, check_size

QUALITY = 95  # of JPEG files that come from none, and of WebP files


@dataclass(frozen=True)
class Photograph:
    """An image file, read to be edited.

    Attributes:
        pixels: (C, H, W) uint8, sRGB: C is 3 or 1 as the model has it, one more with alpha.
        lost: what cannot be written back as it was, in words; "" when all can.
    """

    pixels: Tensor
    lost: str
    width: int  # of the upright original; larger than `pixels` where a JPEG had to be read smaller
    height: int
    _own: Image.Image  # "RGB" or "RGBA" in the colours of the file, or "L"
    _profile: bytes | None  # to write; None: none
    _is_srgb: bool  # whether its colours are taken for sRGB
    _stored: StoredImage

    def save(self, path: str | os.PathLike[str], edited: Tensor) -> None:
        """Writes the photograph with `edited`, which has the shape of `pixels`, in its place.

        Raises:
            ValueError: the ending, or the size, is not one of the format's.
            OSError: the folder cannot be written, or the disk is full; an older file is whole.
        """
        path = Path(path)
        image = self.merged(edited)
        check_size(path, image.width, image.height)
        kind = OUTPUT_FORMATS[path.suffix.lower()]
        if kind == "JPEG" and image.mode == "RGBA":
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image).convert("RGB")
        encoded = io.BytesIO()
        image.save(encoded, kind, **self._options(kind))
        write_bytes(path, encoded.getvalue())

    def merged(self, edited: Tensor) -> Image.Image:
        """The image in the file's own colours: those of `edited` where it differs."""
        is_changed = (edited != self.pixels).any(0).numpy()
        values = edited.permute(1, 2, 0).numpy()
        image = Image.fromarray(
            np.ascontiguousarray(values[..., 0] if len(edited) == 1 else values)
        )
        if self._profile and not self._is_srgb:
            alpha = image.getchannel("A") if image.mode == "RGBA" else None
            image = from_srgb(image.convert("RGB"), self._profile)
            if alpha is not None:
                image.putalpha(alpha)
        mask = Image.fromarray(is_changed.astype(np.uint8) * 255)
        return Image.composite(image, self._own, mask)

    def _options(self, kind: str) -> dict[str, Any]:
        stored = self._stored
        options: dict[str, Any] = {"quality": QUALITY}
        if kind == "JPEG" and stored.quantization and self._own.mode == stored.image.mode:
            options = {"qtables": stored.quantization}
            if stored.sampling >= 0:
                options["subsampling"] = stored.sampling
        if stored.exif is not None:
            options["exif"] = stored.exif.tobytes()
        if self._profile:
            options["icc_profile"] = self._profile
        if stored.dpi and kind != "WEBP":
            options["dpi"] = stored.dpi
        return options


def read_photograph(path: str | os.PathLike[str], channels: int = 3) -> Photograph:
    """Reads an image file.

    Args:
        channels: of the model, 3 (RGB) or 1 (grey).

    Raises:
        FileNotFoundError: nothing there.
        UnreadableImageError: a ValueError; a folder, or a file that holds no usable image.
        OSError: the file may not be read.
    """
    stored = read_stored(path)
    size = (stored.width, stored.height)
    image, profile = stored.image, stored.profile
    if image.mode == "P" and (not profile or profile[16:20] == b"RGB "):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "RGB" and image.has_transparency_data:  # one colour of it is transparent
        image = image.convert("RGBA")
    if channels == 3 and image.mode in ("RGB", "RGBA"):
        colours = image if image.mode == "RGB" else image.convert("RGB")
        seen = to_srgb(colours, profile)
        is_srgb = seen is colours
        if is_srgb or (profile and _has_way_back(profile)):
            if image.mode == "RGBA":
                seen.putalpha(image.getchannel("A"))
            return Photograph(_tensor(seen), "", *size, image, profile, is_srgb, stored)
    own = to_eight_bits(stored.image, channels, profile)
    lost = _lost(stored, channels)
    return Photograph(_tensor(own), lost, *size, own, None, True, stored)


def _has_way_back(profile: bytes) -> bool:
    """Whether colours can be brought into a profile, not only out of it."""
    try:
        from_srgb(Image.new("RGB", (1, 1)), profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


def _tensor(image: Image.Image) -> Tensor:
    values = np.array(image, dtype=np.uint8).reshape(image.height, image.width, -1)
    return torch.from_numpy(values).permute(2, 0, 1)


def _lost(stored: StoredImage, channels: int) -> str:
    """Of an image that is written as 8-bit sRGB or grey."""
    what = []
    if stored.image.mode not in ("L", "1", "RGB", "RGBA", "P", "LA"):
        what.append(f"its mode {stored.image.mode}")
    if stored.profile:
        what.append("its colour profile")
    if channels == 1 and stored.image.mode not in ("L", "1", "I", "I;16", "F"):
        what.append("its colours, because the model is grey")
    if stored.image.has_transparency_data:
        what.append("its transparency, which is laid over white")
    return " and ".join(what)
