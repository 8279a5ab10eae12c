"""Turns the bytes of one image file into a square of uint8 pixels.

The rule, in order: the first frame; turned upright as EXIF says; other modes (palette, CMYK,
16-bit, ...) to 8-bit RGB or grey, transparent parts on white; brought to a square by the resize
rule; Lanczos resampling, which averages over the area when it shrinks. Colour profiles are not
applied.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from .budget import Budget

RULE_VERSION = 2  # raise it when the same file gives other pixels
RESIZE_RULES = ("crop", "pad", "stretch")  # as comfyui_cldis.editing.framing.RESIZE_RULES
MAX_PIXELS = 2**26  # 8192 x 8192, of all images that are being decoded; takes 1.3 GB

ResizeRule = Literal["crop", "pad", "stretch"]

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_ORIENTATION = 0x0112
_pixels_in_memory = Budget(MAX_PIXELS)


@dataclass(frozen=True)
class Decoded:
    """An image brought to the model's square, and what it was before."""

    pixels: np.ndarray  # (S, S, C) uint8
    width: int  # of the upright original
    height: int
    mode: str  # Pillow's name: RGB, L, P, CMYK, ...


def decode_image(
    data: bytes, image_size: int, channels: int, resize: ResizeRule = "crop"
) -> Decoded:
    """Decodes an image to (S, S, C) uint8, C = 1 (grey) or 3 (RGB).

    Resize rules: "crop" keeps the largest central square; "pad" extends the short side by
    repeating its edge, so that no colour is added which the image does not have; "stretch"
    ignores the aspect ratio.

    Raises:
        Exception: whatever Pillow raises for a damaged, unknown or oversized file.
    """
    if not data:
        raise ValueError("the file is empty (0 bytes)")
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        width, height = image.size
        # JPEG can decode at a half, a quarter or an eighth; twice the size keeps all detail.
        image.draft(None, (2 * image_size, 2 * image_size))
        is_drafted = image.size != (width, height)
        num_pixels = image.width * image.height
        if image.info.get("progressive"):  # all of it is held, at a third of a pixel's bytes
            num_pixels = max(num_pixels, width * height // 3)
        if num_pixels > _pixels_in_memory.total:
            raise ValueError(
                f"{width} x {height} pixels; at most {_pixels_in_memory.total:,} are decoded; "
                "save a smaller copy"
            )
        mode = image.mode
        # Asked of JPEG alone: of PNG, the question decodes the image.
        is_turned = is_drafted and image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        with _pixels_in_memory.lend(num_pixels):
            square, upright_size = _to_square(image, image_size, channels, resize)
            image.close()  # frees its pixels
    if not is_drafted:
        width, height = upright_size
    elif is_turned:
        width, height = height, width
    pixels = np.asarray(square, dtype=np.uint8).reshape(image_size, image_size, channels)
    return Decoded(pixels, width, height, mode)


def _to_square(
    image: Image.Image, image_size: int, channels: int, resize: ResizeRule
) -> tuple[Image.Image, tuple[int, int]]:
    ImageOps.exif_transpose(image, in_place=True)
    size = width, height = image.size
    if resize == "crop":  # before the modes are converted, which costs memory for each pixel
        side = min(size)
        left, top = (width - side) // 2, (height - side) // 2
        # Not `resize(box=...)`, which lets the pixels around the box bleed in.
        image = image.crop((left, top, left + side, top + side))
    flat = _to_eight_bits(image).convert("L" if channels == 1 else "RGB")
    if resize == "pad":
        return _pad(flat, image_size), size
    return flat.resize((image_size, image_size), Image.Resampling.LANCZOS), size


def _pad(flat: Image.Image, image_size: int) -> Image.Image:
    """Repeats the edge up to a square and resizes it; never holds that square at full size.

    Lanczos works axis by axis, so the long axis may shrink before the short one is extended.
    """
    width, height = flat.size
    side = max(width, height)
    if width == height:
        return flat.resize((image_size, image_size), Image.Resampling.LANCZOS)
    left, top = (side - width) // 2, (side - height) // 2
    if width > height:
        thin, margins = (image_size, height), ((top, side - height - top), (0, 0))
    else:
        thin, margins = (width, image_size), ((0, 0), (left, side - width - left))
    shrunk = np.asarray(flat.resize(thin, Image.Resampling.LANCZOS))
    padded = np.pad(shrunk, (*margins, *((0, 0),) * (shrunk.ndim - 2)), mode="edge")
    return Image.fromarray(padded).resize((image_size, image_size), Image.Resampling.LANCZOS)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Removes what `convert` would get wrong: deep grey (it clips) and transparency (it drops)."""
    if image.mode.startswith("I"):
        return _deep_to_grey(image)
    if image.mode == "F":
        values = np.asarray(image)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError("floating-point values are not within 0 to 1; save it with 8 bits")
        return Image.fromarray(np.round(values * 255).astype(np.uint8))
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, with_alpha)
    return image


def _deep_to_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(
            f"grey values from {low} to {high} do not fit 16 bits; save it with 8 or 16 bits"
        )
    grey = np.round(values / np.float32(257)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
