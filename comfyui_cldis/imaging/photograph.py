"""A photograph that is edited in place: what the edit does not touch stays as it is in the file.

    in the file                  as it is edited and written
    RGB, palette                 in its own colours; only edited pixels go to sRGB and back
    grey                         RGB, or grey for a grey model
    CMYK, Lab, 16 bits, frames   one image in 8-bit sRGB: `lost` says so

Transparency stays where the written format has it. EXIF data, colour profile and resolution go into
the written file; see `metadata.exif_for_copy` for what is left out. XMP and IPTC data, comments and
the texts of PNG files do not; `lost` names them. A JPEG file written from one is compressed with
the same tables, so that blocks which did not change come out the same but for rounding. WebP files
are lossless if the file was.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from ..atomic_write import write_bytes
from .colour import from_srgb, to_eight_bits, to_srgb, without_alpha
from .reading import StoredImage, naming, read_stored
from .writing import OUTPUT_FORMATS, check_size

QUALITY = 95  # of JPEG files that come from none, and of lossy WebP files
STRIP = 256  # rows that are copied at a time, so that few copies of the pixels are held
FADE = 32  # levels of change from which on a pixel has no more colours than sRGB
_PROFILE = "its colour profile"
MAX_JPEG_EXIF = 65533  # bytes; those of other formats may be longer


@dataclass(frozen=True)
class Photograph:
    """An image file, read to be edited.

    Attributes:
        pixels: (C, H, W) uint8, sRGB: C is 3 or 1 as the model has it, one more with alpha.
        lost: what cannot be written back as it was, in words; "" when all can.
        width, height: of the upright original; larger than `pixels` where a JPEG file had to be
            read smaller.
    """

    pixels: Tensor
    lost: str
    width: int
    height: int
    _own: Tensor  # `pixels` in the colours of the file
    _way_back: bytes | None  # profile of those colours; None: they are sRGB
    _profile: bytes | None  # to write
    _stored: StoredImage  # without its image

    def save(self, path: str | os.PathLike[str], edited: Tensor) -> None:
        """Writes the photograph with `edited`, which has the shape of `pixels`, in its place.

        Raises:
            ValueError: `edited` is of another shape or dtype; or the ending, or the size, is not
                one of the format's.
            OSError: the folder cannot be written, or the disk is full; an older file is whole.
        """
        path = Path(path)
        check_size(path, *self.pixels.shape[:0:-1])
        kind = OUTPUT_FORMATS[path.suffix.lower()]
        image = self.merged(edited)
        if kind == "JPEG" and image.mode in ("LA", "RGBA"):
            image = to_eight_bits(image, 1 if image.mode == "LA" else 3)  # over white
        encoded = io.BytesIO()
        image.save(encoded, kind, **self._options(kind))
        write_bytes(path, encoded.getvalue())

    def lost_in(self, path: str | os.PathLike[str]) -> str:
        """`lost`, and what a file that ends like `path` cannot hold, in words."""
        what = [self.lost] if self.lost else []
        if OUTPUT_FORMATS.get(Path(path).suffix.lower()) == "JPEG":
            if len(self.pixels) in (2, 4) and int(self.pixels[-1].min()) < 255:
                what.append("its transparency, which is laid over white")
            if len(self._stored.exif) > MAX_JPEG_EXIF:
                what.append("its EXIF data, which are too long for a JPEG file")
        return " and ".join(what)

    def merged(self, edited: Tensor) -> Image.Image:
        """The image in the file's own colours: those of `edited` where it differs.

        Raises: ValueError for another shape or dtype than those of `pixels`.
        """
        if edited.shape != self.pixels.shape or edited.dtype != torch.uint8:
            raise ValueError(
                f"The edited image is {edited.dtype} of shape {tuple(edited.shape)}; expected "
                f"torch.uint8 of shape {tuple(self.pixels.shape)}. Edit the photograph's pixels."
            )
        merged = self._own.permute(1, 2, 0).numpy().copy()
        for top in range(0, len(merged), STRIP):
            rows = slice(top, top + STRIP)
            is_changed = (edited[:, rows] != self.pixels[:, rows]).any(0).numpy()
            if is_changed.any():
                values = self._in_own_colours(rows, edited[:, rows].permute(1, 2, 0).numpy())
                merged[rows][is_changed] = values[is_changed]
        return Image.fromarray(merged[..., 0] if merged.shape[-1] == 1 else merged)

    def _in_own_colours(self, rows: slice, edited: np.ndarray) -> np.ndarray:
        """Edited rows, (h, W, C) uint8 in sRGB, in the colours of the file.

        What of the file's colours sRGB cannot show is kept where little changed. If it went all at
        once, saturated colours would have a seam where the edit fades out.
        """
        if self._way_back is None:
            return edited
        own, before = (
            pixels[:3, rows].permute(1, 2, 0).numpy() for pixels in (self._own, self.pixels)
        )
        after = edited[..., :3]
        distance = np.abs(after.astype(np.int16) - before).max(axis=-1, keepdims=True)
        kept = np.clip(1 - distance / np.float32(FADE), 0, 1)
        hidden = own.astype(np.int16) - _in_profile(before, self._way_back)
        colours = np.round(_in_profile(after, self._way_back) + hidden * kept).clip(0, 255)
        return np.concatenate([colours.astype(np.uint8), edited[..., 3:]], axis=-1)

    def _options(self, kind: str) -> dict[str, Any]:
        stored = self._stored
        options: dict[str, Any] = {"quality": QUALITY}
        if kind == "JPEG" and stored.tables:
            options = {"qtables": list(stored.tables), "subsampling": stored.sampling}
        if kind == "WEBP" and stored.is_lossless:
            options = {"lossless": True, "exact": True}  # colours of transparent pixels too
        if stored.exif and not (kind == "JPEG" and len(stored.exif) > MAX_JPEG_EXIF):
            options["exif"] = stored.exif
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
    profile, size = stored.profile, (stored.width, stored.height)
    lost = _lost(stored, channels)
    with naming(Path(path).name):
        colours, alpha = without_alpha(stored.image)
        stored = replace(stored, image=Image.new("L", (1, 1)))  # `colours` alone holds the pixels
        if colours.mode == "P" and (not profile or profile[16:20] == b"RGB "):
            colours = colours.convert("RGB")
        if colours.mode == "RGB" and channels == 3:
            seen = to_srgb(colours, profile)
            if seen is colours:
                own = _tensor(colours, alpha)
                return Photograph(own, lost, *size, own, None, profile, stored)
            if profile and _has_way_back(profile):
                own = _tensor(colours, alpha)
                del colours
                return Photograph(_tensor(seen, alpha), lost, *size, own, profile, profile, stored)
        own = _tensor(to_eight_bits(colours, channels, profile), alpha)
    if profile:
        lost = " and ".join([lost, _PROFILE] if lost else [_PROFILE])
    if colours.mode not in ("L", "1", "RGB", "P"):  # the tables were for other channels
        stored = replace(stored, tables=())
    return Photograph(own, lost, *size, own, None, None, stored)


def _in_profile(values: np.ndarray, profile: bytes) -> np.ndarray:
    """(H, W, 3) uint8 in sRGB -> in the colours of the profile."""
    return np.asarray(from_srgb(Image.fromarray(np.ascontiguousarray(values)), profile))


def _has_way_back(profile: bytes) -> bool:
    """Whether colours can be brought into a profile, not only out of it."""
    try:
        from_srgb(Image.new("RGB", (1, 1)), profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


def _tensor(colours: Image.Image, alpha: Image.Image | None) -> Tensor:
    """(C, H, W) uint8, in memory pixel by pixel."""
    width, height = colours.size
    channels = len(colours.getbands())
    values = np.empty((height, width, channels + (alpha is not None)), np.uint8)
    for top in range(0, height, STRIP):  # Pillow copies what NumPy reads
        rows = values[top : top + STRIP]
        box = (0, top, width, top + len(rows))
        rows[..., :channels] = np.asarray(colours.crop(box)).reshape(len(rows), width, channels)
        if alpha is not None:
            rows[..., channels] = np.asarray(alpha.crop(box))
    return torch.from_numpy(values).permute(2, 0, 1)


def _lost(stored: StoredImage, channels: int) -> str:
    """What an 8-bit image in RGB or grey, or its file, does not have, the profile aside."""
    mode, what = stored.image.mode, []
    is_grey = mode in ("1", "L", "LA", "La", "F") or mode.startswith("I")
    if stored.is_deep:
        what.append("its depth of more than 8 bits per channel")
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        what.append(f"its colours as {mode}, which become RGB")
    if channels == 1 and not is_grey:
        what.append("its colours, because the model is grey")
    if mode.startswith("I") and stored.image.has_transparency_data:
        what.append("its transparency, which is laid over white")
    if stored.is_animated:
        what.append("all of its frames but the first")
    what += stored.unkept
    return " and ".join(what)
