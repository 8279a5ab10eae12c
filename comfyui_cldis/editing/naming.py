"""Provisional names of directions, from what measurably changes between two sets of pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

HUES = (("greener", "redder"), ("bluer", "yellower"))  # ends of a* and b*
REGIONS = (
    ("upper left", "top", "upper right"),
    ("left", "centre", "right"),
    ("lower left", "bottom", "lower right"),
)


class Words(NamedTuple):
    """A provisional name and what the two ends look like."""

    name: str
    negative: str
    positive: str


def describe_change(low: Tensor, high: Tensor) -> Words:
    """Name the change from `low` to `high`, both (B, C, S, S) in [-1, 1].

    A change is "brightness" when lightness (CIE L*) moves one way over the changed region,
    "colour" when a* and b* change more than L* does, and "shape" when lightness rises here and
    falls there, as it does when something moves. The region is the cell of a 3 x 3 grid that
    holds most of the change, or "whole" when the change is spread out.
    """
    if low.shape[1] == 3:
        from kornia.color import rgb_to_lab

        change = rgb_to_lab((high.float() + 1) / 2) - rgb_to_lab((low.float() + 1) / 2)
        light, chroma = change[:, 0], change[:, 1:]  # (B, S, S), (B, 2, S, S)
    else:
        change = (high - low).float()
        light, chroma = change.mean(1), torch.zeros_like(change)
    energy = change.square().sum(1).mean(0)  # (S, S)
    cells = torch.nn.functional.adaptive_avg_pool2d(energy[None, None], (3, 3))[0, 0]
    share = cells / cells.sum().clamp(min=1e-12)
    row, column = divmod(int(share.argmax()), 3)
    region = REGIONS[row][column] if float(share.max()) > 0.2 else "whole"
    one_way = float(light.mean((1, 2)).abs().mean() / light.abs().mean().clamp(min=1e-12))
    if float(chroma.square().sum(1).mean()) > float(light.square().mean()):
        mean = chroma.mean((0, 2, 3))
        axis = int(mean.abs().argmax())
        ends = HUES[axis] if float(mean[axis]) > 0 else HUES[axis][::-1]
        return Words(f"colour {region}", *ends)
    if one_way > 0.5:
        brighter = float(light.mean()) > 0
        ends = ("darker", "brighter") if brighter else ("brighter", "darker")
        return Words(f"brightness {region}", *ends)
    return Words(f"shape {region}", "one way", "other way")
