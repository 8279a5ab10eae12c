"""Masks from image files: white where an edit acts, black where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .colour import to_eight_bits, without_alpha
from .reading import naming, read_stored

TOLERANCE = 0.01  # share by which the aspect ratios of mask and image may differ


def read_mask(path: str | os.PathLike[str], width: int, height: int) -> Tensor:
    """Reads a mask and brings it to the size of an image.

    Grey counts, and transparency as black does. Where all colours are one, as painting programs
    write masks, the transparency alone counts, unless it is all one too.

    Returns:
        (1, height, width) float32 in [0, 1].

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no usable image, or another aspect ratio than the image's.
        OSError: the file may not be read.
    """
    image, name = read_stored(path).image, Path(path).name
    check_shape(image.size, (width, height), f"The mask {name}")
    with naming(name):
        return mask_of(image, width, height)


def check_shape(mask: tuple[int, int], image: tuple[int, int], label: str = "The mask") -> None:
    """Raises ValueError unless width and height of a mask have the aspect ratio of the image's.

    Args:
        label: what the message calls the mask.
    """
    if abs(mask[0] * image[1] - mask[1] * image[0]) > TOLERANCE * mask[1] * image[0]:
        raise ValueError(
            f"{label} has {mask[0]} x {mask[1]} pixels and the image {image[0]} x {image[1]}, "
            "which is another shape. Draw the mask on a copy of the image."
        )


def mask_of(image: Image.Image, width: int, height: int) -> Tensor:
    """The same of an image that is upright and open, whatever its shape: (1, height, width).

    Raises:
        UnreadableImageError, OSError: damaged.
    """
    colours, alpha = without_alpha(image)
    grey = to_eight_bits(colours, 1)
    values = _values(grey, width, height)
    if alpha is not None:
        share = _values(alpha, width, height)
        is_painted_in_alpha = _is_one_grey(grey, alpha) and not _is_blank(alpha)
        values = share if is_painted_in_alpha else values * share
    return torch.from_numpy(values)[None]


def _is_one_grey(grey: Image.Image, alpha: Image.Image) -> bool:
    """Whether what is not all transparent is alike; below the rest, programs leave any colour."""
    shown = alpha.point(lambda level: 255 if level else 0)
    return sum(map(bool, grey.histogram(shown))) <= 1


def _is_blank(image: Image.Image) -> bool:
    """Whether its pixels, in mode "L", are all alike."""
    low, high = image.getextrema()
    return low == high


def _values(image: Image.Image, width: int, height: int) -> np.ndarray:
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32) / 255
