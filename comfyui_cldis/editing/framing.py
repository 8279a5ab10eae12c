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
class Box:
    """A rectangle in whole pixels of an image; where a rule extends the image, beyond its edges."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Origin:
    """Where an encoded square came from.

    Attributes:
        height, width: of the image, in pixels.
        rule: that made it a square, within `box`.
        box: the part of the image that was chosen; None: the whole.
    """

    height: int
    width: int
    rule: str
    box: Box | None = None

    @property
    def part(self) -> Box:
        """The part of the image that was chosen."""
        return self.box or Box(0, 0, self.width, self.height)

    @property
    def square(self) -> Box:
        """What the model's square shows; not square, in pixels of the image, after "stretch"."""
        part = self.part
        if self.rule == "stretch":
            return part
        pick = min if self.rule == "crop" else max
        side = pick(part.width, part.height)
        if self.rule == "crop":
            left, top = (part.width - side) // 2, (part.height - side) // 2
        else:
            left, top = -((side - part.width) // 2), -((side - part.height) // 2)
        return Box(part.left + left, part.top + top, side, side)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, H, W) with antialiased bicubic interpolation, kept within the input's range."""
    if images.shape[-2:] == (height, width):
        return images
    return _within(images, _interpolate(images, height, width))


def frame(
    images: Tensor, size: int, rule: str, box: Box | None = None
) -> tuple[Tensor, tuple[Origin, ...]]:
    """Bring images, or one part of each, to `size` x `size`.

    Rules: "crop" takes the central square; "pad" extends the short side by repeating its edge;
    "stretch" ignores the aspect ratio.

    Args:
        images: (B, C, H, W), any range.
        box: the part that is framed, as if it were the image; None: the whole.

    Returns:
        (B, C, size, size) and one Origin per item.

    Raises:
        ValueError: unknown rule, an empty image, or a box that does not lie within the image.
    """
    if rule not in RESIZE_RULES:
        raise ValueError(f"Unknown resize rule '{rule}'. Use one of {', '.join(RESIZE_RULES)}.")
    height, width = images.shape[-2:]
    if min(height, width) < 1:
        raise ValueError(
            f"The image is {width} x {height} pixels. Give one with at least one pixel."
        )
    if box is not None:
        check_box(box, width, height)
    origin = Origin(height, width, rule, box)
    origins = (origin,) * images.shape[0]
    shown = origin.square if rule == "crop" else origin.part
    images = images[
        ..., shown.top : shown.top + shown.height, shown.left : shown.left + shown.width
    ]
    if rule == "pad" and shown.height != shown.width:
        return _padded(images, size), origins
    return resize(images, size, size), origins


def check_box(box: Box, width: int, height: int) -> None:
    """Raises a ValueError for a box that does not lie within an image of that size."""
    is_inside = box.left >= 0 and box.top >= 0
    is_inside &= box.left + box.width <= width and box.top + box.height <= height
    if box.width < 1 or box.height < 1 or not is_inside:
        raise ValueError(
            f"The crop of {box.width} x {box.height} pixels at {box.left}, {box.top} (from the "
            f"left, from the top) does not lie within the image of {width} x {height}. Choose one "
            "that does."
        )


def unframe(images: Tensor, origins: Sequence[Origin]) -> Tensor:
    """Bring squares back to the size they had: the inverse of `frame`.

    After "crop" this is the central square at its original size; after "pad" and "stretch" it is
    the whole image, or the part of it that was framed.

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
    part, square = origins[0].part, origins[0].square
    if origins[0].rule != "pad" or part.height == part.width:
        return resize(images, square.height, square.width)
    # One axis after the other, so that the square is never held at its full size.
    size, side = images.shape[-1], square.width
    if part.width == side:
        top = part.top - square.top
        rows = _interpolate(images, side, size)[..., top : top + part.height, :]
        return _within(images, _interpolate(rows, part.height, side))
    left = part.left - square.left
    columns = _interpolate(images, size, side)[..., left : left + part.width]
    return _within(images, _interpolate(columns, side, part.width))


def unframed_size(origin: Origin) -> tuple[int, int]:
    """Height and width that `unframe` gives."""
    shown = origin.part if origin.rule == "pad" else origin.square
    return shown.height, shown.width


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
    """Clipped to the range of each image, so that a batch equals its images one by one."""
    each = (-3, -2, -1)
    return resized.clamp(images.amin(each, keepdim=True), images.amax(each, keepdim=True))
