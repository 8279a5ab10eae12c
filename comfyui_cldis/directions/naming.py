"""Provisional names of directions, from what measurably changes between two sets of images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..imaging.lab import to_lab
from .motion import Motion, fit_motions, place_of

HUES = (  # angles of a* and b* in degrees; sRGB blue, at 306, still counts as blue
    (-5.0, "pinker"),
    (40.0, "redder"),
    (103.0, "yellower"),
    (140.0, "greener"),
    (196.0, "more cyan"),
    (290.0, "bluer"),
    (325.0, "more violet"),
)
REGIONS = (
    ("upper left", "top", "upper right"),
    ("left", "centre", "right"),
    ("lower left", "bottom", "lower right"),
)
BACKGROUND = "background"
MOVED = 0.35  # share of the change that a movement must explain
INSIDE_MARGIN = 0.05  # by which an inside may explain less than the whole thing, or must more
OUTLINE_SHARE = 0.75  # of the way of the middle; in a plain shift the fitted outline moves further
TURN_SPREAD = 0.2  # in half sides, from which a moving inside is a turn, not a small part
ONE_WAY = 0.5  # share of the change of lightness that must have one sign
EDGES_KEPT = 0.5  # cosine of the slopes at both ends, from which light changes and no thing does
STRONG_CHROMA = 12.0  # length of (a*, b*) from which an image has a hue
CLEAR_SHARE = 0.25  # of the mean change of lightness, that a difference of places must reach
SMALL_SPREAD, FAR, HALVES = 0.5, 0.3, 0.25  # in half sides: a cell, off the middle, a half
FRAME_SHARE = 1.5  # how much more must change at half of the edges than within for a background
UNKNOWN_ENDS = ("one way", "other way")  # what older models say when nothing is known


class Words(NamedTuple):
    """A provisional name and what the two ends look like, "" where nothing clear was measured."""

    name: str
    negative: str
    positive: str


def describe_change(low: Tensor, high: Tensor) -> Words:
    """Name the change from `low` to `high`, both (B, C, S, S) in [-1, 1], C any.

    The name says what changes and where, such as "size centre" or "brightness background":

    - a movement, when one explains a good third of the change (see `motion`): "horizontal
      position", "vertical position", "size", "width", "height", "tilt", and "turn" or "nod" when
      the middle of something wide moves and its outline moves less, or the other way;
    - "hue", "saturation" or "colour", when a* and b* change more than L* does;
    - "brightness", when lightness changes one way over the changed region;
    - "side light" or "top light", when one half gets lighter and the other darker, and edges stay
      where they are; the ends say where the light comes from;
    - "shape", when lightness rises here and falls there and no one movement explains it. Its ends
      then say where it gets lighter, such as "left lighter".
    """
    low_lab, high_lab = _lab(low), _lab(high)
    change = high_lab - low_lab
    light, chroma = change[:, 0], change[:, 1:]  # (B, S, S), (B, 2, S, S)
    energy = change.square().sum(1)
    region = _region(energy)
    found = _movement(*fit_motions(low_lab, high_lab))
    if found is not None:
        # What changes at the edges of the image is then the outline of a large thing.
        place = "whole" if region == BACKGROUND else region
        return found._replace(name=f"{found.name} {place}")
    weight = energy.sqrt() / energy.sqrt().sum().clamp(min=1e-12)  # of all images together
    if float(chroma.square().sum()) > float(light.square().sum()):
        found = _colours(low_lab[:, 1:], high_lab[:, 1:], weight)
        return found._replace(name=f"{found.name} {region}")
    if float((light * weight).sum().abs()) > ONE_WAY * float((light.abs() * weight).sum()):
        rises = float((light * weight).sum()) > 0
        ends = ("darker", "brighter") if rises else ("brighter", "darker")
        return Words(f"brightness {region}", *ends)
    found = _light_from(light, low_lab[:, 0], high_lab[:, 0])
    if found is not None:
        return found._replace(name=f"{found.name} {region}")
    return Words(f"shape {region}", *_lighter_places(light))


def describe_ends(negative: str, positive: str) -> str:
    """Both ends of a direction, such as "darker ... brighter"; "" when nothing is known of them."""
    if (negative, positive) == UNKNOWN_ENDS or not (negative or positive):
        return ""
    return f"{negative} ... {positive}"


def _lab(images: Tensor) -> Tensor:
    """CIELAB (B, 3, S, S); channels other than three count as their mean, a grey."""
    return to_lab(images if images.shape[1] == 3 else images.mean(1, keepdim=True))


def _movement(whole: Motion, inside: Motion) -> Words | None:
    """The movement that explains the change best, without a place; None when none does."""
    if inside.explained > max(MOVED, whole.explained - INSIDE_MARGIN):
        middle = inside.right + inside.turn, inside.down + inside.nod
        sideways = abs(middle[0]) >= abs(middle[1])
        amount = middle[0] if sideways else middle[1]
        outline = inside.right if sideways else inside.down
        is_turn = abs(outline) < OUTLINE_SHARE * abs(amount)
        if is_turn and math.hypot(*inside.spread) >= TURN_SPREAD:
            return _ended("turn" if sideways else "nod", amount, *_ways(sideways))
        if inside.explained > whole.explained + INSIDE_MARGIN:
            kind = "horizontal position" if sideways else "vertical position"
            return _ended(kind, amount, *_ways(sideways))
    if whole.explained <= MOVED:
        return None
    x, y = whole.spread
    shifts = {
        "horizontal position": whole.right,
        "vertical position": whole.down,
        "size": math.copysign(math.hypot(whole.wider * x, whole.taller * y), whole.wider),
        "width": whole.wider * x,
        "height": whole.taller * y,
        "tilt": whole.tilt * math.hypot(x, y),
    }
    grown, lesser = sorted((whole.wider * x, whole.taller * y), key=abs, reverse=True)
    if lesser * grown > 0 and abs(lesser) > abs(grown) / 3:
        del shifts["width"], shifts["height"]
    else:
        del shifts["size"]
    kind = max(shifts, key=lambda name: abs(shifts[name]))
    ends = {
        "horizontal position": _ways(True),
        "vertical position": _ways(False),
        "size": ("smaller", "larger"),
        "width": ("narrower", "wider"),
        "height": ("lower", "taller"),
        "tilt": ("tilted left", "tilted right"),
    }
    return _ended(kind, shifts[kind], *ends[kind])


def _ways(sideways: bool) -> tuple[str, str]:
    return ("left", "right") if sideways else ("up", "down")


def _ended(kind: str, amount: float, below: str, above: str) -> Words:
    return Words(kind, below, above) if amount > 0 else Words(kind, above, below)


def _region(energy: Tensor) -> str:
    """Where the change (B, S, S) lies: a cell, a half, "background" or "whole"."""
    mean = (energy / energy.sum((1, 2), keepdim=True).clamp(min=1e-12)).mean(0)
    place = place_of(mean[None])
    x, y = float(place.x), float(place.y)
    if math.hypot(float(place.spread_x), float(place.spread_y)) < SMALL_SPREAD:
        return REGIONS[_third(y)][_third(x)]
    height, width = mean.shape
    top, left = max(1, height // 8), max(1, width // 8)
    inner = mean[height // 4 : height - height // 4, width // 4 : width - width // 4]
    frame = torch.cat([mean[:top].flatten(), mean[:, :left].flatten(), mean[:, -left:].flatten()])
    if float(frame.median()) > FRAME_SHARE * float(inner.mean()):
        return BACKGROUND
    if max(abs(x), abs(y)) < HALVES:
        return "whole"
    return REGIONS[1][_third(x)] if abs(x) > abs(y) else REGIONS[_third(y)][1]


def _third(position: float) -> int:
    return 0 if position < -FAR else 2 if position > FAR else 1


def _colours(low: Tensor, high: Tensor, weight: Tensor) -> Words:
    """The change of (a*, b*) from `low` to `high`, (B, 2, S, S); `weight` (B, S, S) adds to 1."""
    first, last = ((each * weight[:, None]).sum((0, 2, 3)) for each in (low, high))
    change = high - low
    mean = (change * weight[:, None]).sum((0, 2, 3))
    gains = high.norm(dim=1) - low.norm(dim=1)  # of chroma, in each pixel
    gain = float((gains * weight).sum())
    size = float((change.norm(dim=1) * weight).sum())
    if abs(gain) > 0.7 * size:
        colour = last if gain > 0 else first
        one_hue = float(mean.norm()) > 0.7 * size
        strong = _hue(colour) if one_hue else "more colourful"
        return _ended("saturation", gain, "greyer", strong)
    if float(mean.norm()) < 0.3 * size:
        return Words("colour", "", "")
    ends = _hue(first), _hue(last)
    if min(float(first.norm()), float(last.norm())) > STRONG_CHROMA and ends[0] != ends[1]:
        return Words("hue", *ends)
    return Words("colour", _hue(-mean), _hue(mean))


def _hue(chroma: Tensor) -> str:
    """The name of the hue that (a*, b*) points at."""
    angle = math.degrees(math.atan2(float(chroma[1]), float(chroma[0])))

    def distance(of: float) -> float:
        return abs((angle - of + 180) % 360 - 180)

    return min(HUES, key=lambda hue: distance(hue[0]))[1]


def _light_from(light: Tensor, low: Tensor, high: Tensor) -> Words | None:
    """Light from another side, without a place; None when it is none.

    Args:
        light: (B, S, S), change of lightness.
        low, high: (B, S, S), lightness at both ends.
    """
    if _edges_kept(low, high) < EDGES_KEPT:
        return None
    kinds = (
        (2, "side light", "from left", "from right"),
        (1, "top light", "from above", "from below"),
    )
    found: list[tuple[float, Words]] = []
    for dim, name, before, after in kinds:
        half = light.shape[dim] // 2
        first, last = (
            float(part.sum() / part.abs().sum().clamp(min=1e-6))  # 1: all of it gets lighter
            for part in (light.narrow(dim, 0, half), light.narrow(dim, half, half))
        )
        if first * last < 0 and min(abs(first), abs(last)) > ONE_WAY:
            words = Words(name, before, after) if last > 0 else Words(name, after, before)
            found.append((min(abs(first), abs(last)), words))
    return max(found)[1] if found else None


def _edges_kept(low: Tensor, high: Tensor) -> float:
    """Cosine between the slopes of two (B, S, S): 1 when all edges stay, near 0 when none does."""

    def slopes(images: Tensor) -> Tensor:
        return torch.cat([images.diff(dim=1).flatten(), images.diff(dim=2).flatten()])

    return float(torch.nn.functional.cosine_similarity(slopes(low), slopes(high), dim=0))


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
    if abs(contrast) <= CLEAR_SHARE * float(light.abs().mean()):
        return "", ""
    return (negative, positive) if contrast > 0 else (positive, negative)
