"""Images of any size to the model's square and back, by a stated rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

RESIZE_RULES = ("crop", "pad", "stretch")


@dataclass(frozen=True)
class Origin:
    """Where an encoded square came from: size in pixels of the image, and the rule used."""

    height: int
    width: int
    rule: str


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, H, W) with antialiased bicubic interpolation, kept within the input's range."""
    if images.shape[-2:] == (height, width):
        return images
    low, high = float(images.min()), float(images.max())
    resized = F.interpolate(
        images, size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp(low, high)


def frame(images: Tensor, size: int, rule: str) -> tuple[Tensor, tuple[Origin, ...]]:
    """Bring images to `size` x `size`.

    Rules: "crop" takes the central square; "pad" extends the short side by repeating its edge;
    "stretch" ignores the aspect ratio.

    Args:
        images: (B, C, H, W), any range.

    Returns:
        (B, C, size, size) and one Origin per item.

    Raises:
        ValueError: unknown rule, or an empty image.
    """
    if rule not in RESIZE_RULES:
        raise ValueError(f"Unknown resize rule '{rule}'. Use one of {', '.join(RESIZE_RULES)}.")
    height, width = images.shape[-2:]
    if min(height, width) < 1:
        raise ValueError(
            f"The image is {width} x {height} pixels. Give one with at least one pixel."
        )
    if rule == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        images = images[..., top : top + side, left : left + side]
    elif rule == "pad":
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        images = F.pad(
            images, (left, side - width - left, top, side - height - top), mode="replicate"
        )
    origin = Origin(height, width, rule)
    return resize(images, size, size), (origin,) * images.shape[0]


def unframe(images: Tensor, origins: Sequence[Origin]) -> Tensor:
    """Bring squares back to the size they had: the inverse of `frame`.

    After "crop" this is the central square at its original size; after "pad" and "stretch" it is
    the whole image at height x width.

    Args:
        images: (B, C, S, S).
        origins: one per item, all alike.

    Raises:
        ValueError: as many origins as images are needed, and they must be alike.
    """
    if len(origins) != images.shape[0]:
        raise ValueError(
            f"{images.shape[0]} images have {len(origins)} recorded sizes. "
            "Decode at the model's size instead."
        )
    if len(set(origins)) != 1:
        raise ValueError(
            "The images of this batch came from different sizes. "
            "Decode at the model's size, or encode them separately."
        )
    origin = origins[0]
    if origin.rule == "crop":
        side = min(origin.height, origin.width)
        return resize(images, side, side)
    if origin.rule == "stretch":
        return resize(images, origin.height, origin.width)
    side = max(origin.height, origin.width)
    top, left = (side - origin.height) // 2, (side - origin.width) // 2
    square = resize(images, side, side)
    return square[..., top : top + origin.height, left : left + origin.width]
