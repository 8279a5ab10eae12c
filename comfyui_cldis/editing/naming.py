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
CLEAR_SHARE = 0.25  # of the mean change of lightness, that a difference of places must reach
UNKNOWN_ENDS = ("one way", "other way")  # what older models say when nothing is known


class Words(NamedTuple):
    """A provisional name and what the two ends look like, "" where nothing clear was measured."""

    name: str
    negative: str
    positive: str


def describe_change(low: Tensor, high: Tensor) -> Words:
    """Name the change from `low` to `high`, both (B, C, S, S) in [-1, 1].

    A change is "brightness" when lightness (CIE L*) moves one way over the changed region,
    "colour" when a* and b* change more than L* does, and "shape" when lightness rises here and
    falls there, as it does when something moves. The region is the cell of a 3 x 3 grid that
    holds most of the change, or "whole" when the change is spread out. The ends of a shape say
    where it gets lighter, such as "left lighter": where a bright thing moves to.
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
    return Words(f"shape {region}", *_lighter_places(light))


def describe_ends(negative: str, positive: str) -> str:
    """Both ends of a direction, such as "darker ... brighter"; "" when nothing is known of them."""
    if (negative, positive) == UNKNOWN_ENDS or not (negative or positive):
        return ""
    return f"{negative} ... {positive}"


def _lighter_places(light: Tensor) -> tuple[str, str]:
    """What gets lighter at either end, from the change of lightness (B, S, S); "" if unclear."""
    mean = light.mean(0)
    row, column = mean.mean(1), mean.mean(0)
    half, quarter = len(row) // 2, len(row) // 4
    middle = mean[quarter : len(row) - quarter, quarter : len(row) - quarter].mean()
    edges = (mean.sum() - middle * (len(row) - 2 * quarter) ** 2) / (
        mean.numel() - (len(row) - 2 * quarter) ** 2
    )
    contrasts = [
        (float(column[-half:].mean() - column[:half].mean()), "left lighter", "right lighter"),
        (float(row[-half:].mean() - row[:half].mean()), "top lighter", "bottom lighter"),
        (float(edges - middle), "middle lighter", "edges lighter"),
    ]
    contrast, negative, positive = max(contrasts, key=lambda item: abs(item[0]))
    if abs(contrast) < CLEAR_SHARE * float(light.abs().mean()):
        return "", ""
    return (negative, positive) if contrast > 0 else (positive, negative)
