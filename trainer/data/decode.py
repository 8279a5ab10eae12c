"""Turns the bytes of one picture file into a square of uint8 pixels.

The rule, in order: the first frame; turned upright as EXIF says; transparent parts on white; other
modes (palette, CMYK, 16-bit, ...) to 8-bit RGB or grey; the largest central square; Lanczos
resampling, which averages over the area when it shrinks. Colour profiles are not applied.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

RULE_VERSION = 1  # raise it when the same file gives other pixels
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


def decode_picture(data: bytes, image_size: int, channels: int) -> np.ndarray:
    """Decodes a picture to (S, S, C) uint8, C = 1 (grey) or 3 (RGB).

    Raises:
        Exception: whatever Pillow raises for a damaged, unknown or oversized file.
    """
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        if picture.mode in ("L", "RGB"):
            # JPEG can decode at a half, a quarter or an eighth; twice the size keeps all detail.
            picture.draft(None, (2 * image_size, 2 * image_size))
        upright = ImageOps.exif_transpose(picture)
    flat = _to_eight_bits(upright).convert("L" if channels == 1 else "RGB")
    side = min(flat.size)
    left, top = (flat.width - side) // 2, (flat.height - side) // 2
    # Cropped first: `resize(box=...)` lets the pixels around the box bleed in.
    square = flat.crop((left, top, left + side, top + side))
    small = square.resize((image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.uint8).reshape(image_size, image_size, channels)


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Removes what `convert` would get wrong: deep grey (it clips) and transparency (it drops)."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(
                f"grey values from {values.min()} to {values.max()} do not fit 16 bits; "
                "save it with 8 or 16 bits"
            )
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    if picture.mode == "F":
        values = np.asarray(picture)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError("floating-point values are not within 0 to 1; save it with 8 bits")
        return Image.fromarray(np.round(values * 255).astype(np.uint8))
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, with_alpha)
    return picture
