"""Images of any size to the model's square and back, by a stated rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the commands read the rules below before they need PyTorch
    from torch import Tensor

ResizeRule = Literal["crop", "pad", "stretch"]
RESIZE_RULES: tuple[str, ...] = get_args(ResizeRule)


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
    return _within(images, _interpolate(images, height, width))


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
    origins = (Origin(height, width, rule),) * images.shape[0]
    if rule == "pad" and height != width:
        return _padded(images, size), origins
    return resize(images, size, size), origins


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
    if origin.height == origin.width:
        return resize(images, side, side)
    # One axis after the other, so that the square is never held at its full size.
    size = images.shape[-1]
    if origin.width == side:
        top = (side - origin.height) // 2
        rows = _interpolate(images, side, size)[..., top : top + origin.height, :]
        return _within(images, _interpolate(rows, origin.height, side))
    left = (side - origin.width) // 2
    columns = _interpolate(images, size, side)[..., left : left + origin.width]
    return _within(images, _interpolate(columns, side, origin.width))


def unframed_size(origin: Origin) -> tuple[int, int]:
    """Height and width that `unframe` gives."""
    if origin.rule == "crop":
        side = min(origin.height, origin.width)
        return side, side
    return origin.height, origin.width


def _padded(images: Tensor, size: int) -> Tensor:
    """The short side extended by its edge to a square, resized; memory grows with one side only.

    Interpolation works on each axis by itself, so the long side may shrink before the short one is
    extended.
    """
    import torch.nn.functional as F

    height, width = images.shape[-2:]
    side = max(height, width)
    before = (side - min(height, width)) // 2
    margins = (before, side - min(height, width) - before)
    if width == side:
        thin = F.pad(_interpolate(images, height, size), (0, 0, *margins), mode="replicate")
    else:
        thin = F.pad(_interpolate(images, size, width), (*margins, 0, 0), mode="replicate")
    return _within(images, _interpolate(thin, size, size))


def _interpolate(images: Tensor, height: int, width: int) -> Tensor:
    """Antialiased bicubic interpolation, which may leave the range of its input a little."""
    import torch.nn.functional as F

    if images.shape[-2:] == (height, width):
        return images
    if width == 1 < height:  # PyTorch takes a column for a row: it gives one value all along
        row = _interpolate(images.transpose(-2, -1), 1, height)
        return row.transpose(-2, -1)
    return F.interpolate(
        images, size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )


def _within(images: Tensor, resized: Tensor) -> Tensor:
    return resized.clamp(float(images.min()), float(images.max()))
