"""Two images of one thing in one image: side by side, split, or their difference.

Images are (B, 3, H, W) in [0, 1], before and after of one shape.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .fonts import font_for

NAMES = ("before", "after")
SMALLEST_NAMED = 96  # pixels of the shorter side: on smaller images names would hide too much
GAP_SHARE, LINE_SHARE, NAME_SHARE = 1 / 64, 1 / 256, 1 / 24  # of the longer, longer, shorter side
SHADE = 0.45  # brightness that is left behind a name
GAIN = 4  # of differences, which are mostly small


def side_by_side(before: Tensor, after: Tensor) -> Tensor:
    """(B, 3, H, 2 W + gap): before on the left, each with its name in a corner if large enough."""
    gap = before.new_ones(*before.shape[:-1], max(2, round(max(before.shape[-2:]) * GAP_SHARE)))
    named = [_named(image, name) for image, name in zip((before, after), NAMES, strict=True)]
    return torch.cat([named[0], gap, named[1]], dim=-1)


def split_view(before: Tensor, after: Tensor, share: float) -> Tensor:
    """(B, 3, H, W): before in the left `share` of the width and after in the rest, a line between.

    Args:
        share: in [0, 1]; at 0 and 1 there is one image alone, without a line.

    Raises:
        ValueError: a share out of range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"split is {share}. Use a number from 0 to 1.")
    width = before.shape[-1]
    column = round(share * width)
    result = torch.cat([before[..., :column], after[..., column:]], dim=-1)
    if 0 < column < width:
        line = max(1, round(max(before.shape[-2:]) * LINE_SHARE))
        first = min(max(column - line // 2, 0), width - 1)
        result[..., first : first + line] = 1
    return result


def difference(before: Tensor, after: Tensor) -> Tensor:
    """(B, 3, H, W): how much each channel changed, `GAIN` times as bright; black: not at all."""
    return (after - before).abs().mul(GAIN).clamp(0, 1)


def _named(images: Tensor, name: str) -> Tensor:
    """The images with a name at the bottom left, on a darkened ground."""
    shorter = min(images.shape[-2:])
    if shorter < SMALLEST_NAMED:
        return images
    size = max(10, round(shorter * NAME_SHARE))
    font = font_for(name, size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(name))
    margin = size // 2
    plate = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin))
    ImageDraw.Draw(plate).text((margin - left, margin - top), name, fill=255, font=font)
    ink = torch.from_numpy(np.array(plate)).to(images) / 255  # (h, w)
    height, width = (min(a, b) for a, b in zip(ink.shape, images.shape[-2:], strict=True))
    ink = ink[:height, :width]
    result = images.clone()
    ground = result[..., -height:, :width] * SHADE
    result[..., -height:, :width] = ground * (1 - ink) + ink
    return result
