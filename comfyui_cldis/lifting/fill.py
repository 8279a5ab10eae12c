"""Draws into a change what appeared, from a small image of how the result should look."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from .apply import Region, apply_change
from .change import Change


def fill(change: Change, before: Tensor, target: Tensor) -> Change:
    """The change with another `added`: where content appeared, `before` becomes `target`.

    Args:
        before: (B, C, s, s) in [-1, 1], the originals at a small size.
        target: the same shape, how they should look after the change.

    Returns:
        The change with `added` at s pixels.
    """
    side = before.shape[-1]
    region = Region(0, 0, side, side, feather=0.0)
    plain = change.without_added()
    explained = torch.stack(
        [
            apply_change((image + 1) / 2, plain.item(index), region) * 2 - 1
            for index, image in enumerate(before.float())
        ]
    )
    where = functional.interpolate(
        change.appeared, size=(side, side), mode="bilinear", align_corners=False
    )
    return replace(change, added=where * (target.float() - explained))
