"""Masks from image files: white where an edit acts, black where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .colour import to_eight_bits
from .reading import read_stored

TOLERANCE = 0.01  # share by which the aspect ratios of mask and image may differ


def read_mask(path: str | os.PathLike[str], width: int, height: int) -> Tensor:
    """Reads a mask and brings it to the size of an image.

    Grey counts; where the file has transparency, its share too, and that alone when the colours
    are all one, as painting programs write masks.

    Returns:
        (1, height, width) float32 in [0, 1].

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no usable image, or another aspect ratio than the image's.
        OSError: the file may not be read.
    """
    image = read_stored(path).image
    if abs(image.width * height - image.height * width) > TOLERANCE * image.height * width:
        raise ValueError(
            f"The mask {Path(path).name} has {image.width} x {image.height} pixels and the image "
            f"{width} x {height}, which is another shape. Draw the mask on a copy of the image."
        )
    alpha = None
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        alpha, image = with_alpha.getchannel("A"), with_alpha.convert("RGB")
    grey = to_eight_bits(image, 1)
    values = _values(grey, width, height)
    if alpha is not None:
        low, high = grey.getextrema()
        share = _values(alpha, width, height)
        values = share if low == high else values * share
    return torch.from_numpy(values)[None]


def _values(image: Image.Image, width: int, height: int) -> np.ndarray:
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32) / 255
