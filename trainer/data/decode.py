"""Turns the bytes of one image file into a square of uint8 pixels.

The file is read by the rules of `comfyui_cldis.imaging.reading`, brought to a square by the resize
rule, and resampled with Lanczos, which averages over the area when it shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from comfyui_cldis.editing.framing import ResizeRule
from comfyui_cldis.imaging.reading import open_image

from .budget import Budget

RULE_VERSION = 3  # raise it when the same file gives other pixels
MAX_PIXELS = 2**26  # 8192 x 8192, of all images that are being decoded; takes 1.4 GB

_pixels_in_memory = Budget(MAX_PIXELS)


@dataclass(frozen=True)
class Decoded:
    """An image brought to the model's square, and what it was before."""

    pixels: np.ndarray  # (S, S, C) uint8
    width: int  # of the upright original
    height: int
    mode: str  # Pillow's name: RGB, L, P, CMYK, ...


def decode_image(
    data: bytes,
    image_size: int,
    channels: int,
    resize: ResizeRule = "crop",
    budget: Budget = _pixels_in_memory,
) -> Decoded:
    """Decodes an image to (S, S, C) uint8, C = 1 (grey) or 3 (RGB).

    Resize rules: "crop" keeps the largest central square; "pad" extends the short side by
    repeating its edge, so that no colour is added which the image does not have; "stretch"
    ignores the aspect ratio.

    Args:
        data: a whole file.
        image_size: S.
        channels: C.
        budget: of pixels, shared by all threads that decode; who finds too few left waits.

    Raises:
        UnreadableImageError: a damaged or unknown file, or one of more pixels than the budget.
    """
    # JPEG can decode at a half, a quarter or an eighth; twice the size keeps all detail.
    with (
        open_image(data, enough=2 * image_size, max_pixels=budget.total) as opened,
        budget.lend(opened.num_pixels),
    ):
        whole = opened.decode(channels, central_square=resize == "crop")
        square = _to_square(whole.image, image_size, resize)
    pixels = np.asarray(square, dtype=np.uint8).reshape(image_size, image_size, channels)
    return Decoded(pixels, whole.width, whole.height, whole.mode)


def _to_square(image: Image.Image, image_size: int, resize: ResizeRule) -> Image.Image:
    if resize == "pad" and image.width != image.height:
        return _pad(image, image_size)
    return image.resize((image_size, image_size), Image.Resampling.LANCZOS)


def _pad(image: Image.Image, image_size: int) -> Image.Image:
    """Repeats the edge up to a square and resizes it; never holds that square at full size.

    Lanczos works axis by axis, so the long axis may shrink before the short one is extended.
    """
    width, height = image.size
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    if width > height:
        thin, margins = (image_size, height), ((top, side - height - top), (0, 0))
    else:
        thin, margins = (width, image_size), ((0, 0), (left, side - width - left))
    shrunk = np.asarray(image.resize(thin, Image.Resampling.LANCZOS))
    padded = np.pad(shrunk, (*margins, *((0, 0),) * (shrunk.ndim - 2)), mode="edge")
    return Image.fromarray(padded).resize((image_size, image_size), Image.Resampling.LANCZOS)
