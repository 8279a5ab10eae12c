"""An original of any size and dtype as the model's square."""

from __future__ import annotations

import torch
from torch import Tensor

from .framing import RESIZE_RULES, Box, Origin, check_box, frame


def frame_original(
    pixels: Tensor, channels: int, size: int, rule: str, box: Box | None = None
) -> tuple[Tensor, Origin]:
    """What the model sees of an original.

    Args:
        pixels: (C, H, W) uint8, or floating point in [0, 1]; C is `channels`, or one more with
            alpha last, which is laid over white.
        channels, size: of the model.
        rule: one of RESIZE_RULES.
        box: the part that is framed, as if it were the image; None: the whole.

    Returns:
        (1, channels, size, size) float32 in [-1, 1], and where it comes from.

    Raises:
        ValueError: unknown rule, an empty image, or a box that does not lie within it.
    """
    if rule not in RESIZE_RULES:
        raise ValueError(f"Unknown resize rule '{rule}'. Use one of {', '.join(RESIZE_RULES)}.")
    height, width = pixels.shape[1:]
    if min(height, width) < 1:
        raise ValueError(
            f"The image is {width} x {height} pixels. Give one with at least one pixel."
        )
    if box is not None:
        check_box(box, width, height)
    origin = Origin(height, width, rule, box)
    shown = origin.square if rule == "crop" else origin.part
    rows, columns = slice(shown.top, shown.top + shown.height), slice(shown.left, None)
    values = pixels[:, rows, columns][..., : shown.width].float()
    if pixels.dtype == torch.uint8:
        values = values / 255
    colours, alpha = values[:channels], values[channels:]
    if len(alpha):
        colours = colours * alpha + (1 - alpha)
    return frame(colours[None] * 2 - 1, size, rule)[0], origin
