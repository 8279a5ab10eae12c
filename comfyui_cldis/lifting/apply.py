"""Applies a change to the pixels of an original, in strips, so that memory stays small."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .change import Change

STRIP_PIXELS = 1 << 18  # that are worked on at once, for memory
CACHED_PIXELS = 1 << 15  # that fit in a processor's cache
MOST_STRIPS = 16  # for the cache's sake: each reads again what moves into it
LEAST_ALPHA = 1 / 255  # below which nobody sees a colour
REACH = 2 / 3  # of the way to an edge at which the change fades


@dataclass(frozen=True)
class Region:
    """Where in an image a change acts: a rectangle in pixels, which may reach outside of it.

    Attributes:
        left, top, width, height: the rectangle that the square of the change is laid over.
        feather: share of the longer side of what may change over which the change fades in, at
            edges inside of the image; at most a quarter of the way to the other edge.
        within: left, top, width and height of the part of the image that may change, in pixels;
            None: all of it.
    """

    left: int
    top: int
    width: int
    height: int
    feather: float = 0.08
    within: tuple[int, int, int, int] | None = None

    def rows(self, height: int) -> tuple[int, int]:
        """The first row of an image that changes, and the first one after those that do."""
        first, count = (0, height) if self.within is None else self.within[1::2]
        return max(self.top, first, 0), min(self.top + self.height, first + count, height)

    def columns(self, width: int) -> tuple[int, int]:
        """As `rows`, for columns."""
        first, count = (0, width) if self.within is None else self.within[0::2]
        return max(self.left, first, 0), min(self.left + self.width, first + count, width)


def apply_change(
    image: Tensor,
    change: Change,
    region: Region,
    *,
    strength: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """One image after the change.

    Args:
        image: (C, H, W) uint8, or floating point in [0, 1]; the first channels are the colours
            that the change is of, one more is alpha, which moves with them.
        change: of a single item.
        region: where it acts; pixels outside come back as they are.
        strength: in [0, 1], share of the motion and of the change of colour.
        mask: (1, H, W) in [0, 1], the same for each pixel; None: 1 everywhere.

    Returns:
        A new image of the same shape, dtype and range. Pixels that do not change are equal bit for
        bit; all are when the change is none.

    Raises:
        ValueError: shapes or a strength that do not fit.
    """
    colours = change.colour.offset.shape[1]
    if image.dim() != 3 or image.shape[0] not in (colours, colours + 1):
        raise ValueError(
            f"The image has shape {tuple(image.shape)}. Give (C, H, W) with {colours} channels, "
            "or one more for alpha."
        )
    if len(change) != 1:
        raise ValueError(f"The change is of {len(change)} items. Give that of one.")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}. Use a number from 0 (no change) to 1.")
    if mask is not None and tuple(mask.shape) != (1, *image.shape[1:]):
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)}. Give {(1, *image.shape[1:])}, one value for "
            "each pixel of the image."
        )
    result = image.clone()
    (top, bottom), (left, right) = region.rows(image.shape[1]), region.columns(image.shape[2])
    if strength == 0 or top >= bottom or left >= right:
        return result
    fields = _Fields(change, region, image)
    quick = max(CACHED_PIXELS // (right - left), (bottom - top) // MOST_STRIPS)
    rows = max(1, min(quick, STRIP_PIXELS // (right - left)))
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        weight = fields.weight(start, stop) * strength
        if mask is not None:
            weight = weight * mask[:, start:stop, left:right].to(weight)
        strip = fields.edited(image, weight, start, stop)
        result[:, start:stop, left:right] = strip
    return result


class _Fields:
    """The maps of a change, enlarged to a region a strip of rows at a time."""

    def __init__(self, change: Change, region: Region, image: Tensor) -> None:
        device = image.device
        self.region = region
        self.rows, self.columns = region.rows(image.shape[1]), region.columns(image.shape[2])
        longer = max(stop - start for start, stop in (self.rows, self.columns))
        soft = region.feather * longer
        self.fade_down = _ramp(self.rows, image.shape[1], soft, device)
        self.fade_across = _ramp(self.columns, image.shape[2], soft, device)
        self.colours = change.colour.offset.shape[1]
        across = _enlarging(change.flow.shape[-1], region.width, device)
        self.down = _enlarging(change.flow.shape[-1], region.height, device)
        # (K, n, n) -> (K, n, W): across once, down for each strip
        self.flow = change.flow[0].to(device) @ across.T if bool(change.flow.any()) else None
        scale = torch.tensor([region.width, region.height], device=device).view(2, 1, 1)
        if self.flow is not None:
            self.flow = self.flow * scale
        self.gain = change.colour.gain[0].flatten(0, 1).to(device) @ across.T
        self.offset = change.colour.offset[0].to(device) @ across.T
        self.added = None
        if bool(change.added.any()):
            side = change.added.shape[-1]
            self.added_down = _resizing(side, region.height, device)
            self.added = change.added[0].to(device) @ _resizing(side, region.width, device).T

    def weight(self, start: int, stop: int) -> Tensor:
        """(1, R, W'): 1 inside, fading to 0 at the edges that lie within the image."""
        rows = self.fade_down[start - self.rows[0] : stop - self.rows[0]]
        return (rows[:, None] * self.fade_across)[None]

    def edited(self, image: Tensor, weight: Tensor, start: int, stop: int) -> Tensor:
        """(C, R, W') of the image's dtype: the strip after the change."""
        left, right = self.columns
        rows = slice(start - self.region.top, stop - self.region.top)
        columns = slice(left - self.region.left, right - self.region.left)
        down = self.down[rows]

        def enlarged(across: Tensor, down: Tensor = down) -> Tensor:
            return down @ across[..., columns]

        own = image[:, start:stop, left:right]
        flow = None if self.flow is None else enlarged(self.flow) * weight
        does_move = flow is not None and float(flow.abs().max()) > 1e-3
        if flow is not None and does_move:
            flow = self.within_reach(flow, start, image)
            moved = _moved(image, flow, start, left, self.colours)
        else:
            moved = _values(own)
        pixels = moved[: self.colours]
        gain = enlarged(self.gain).unflatten(0, (self.colours, self.colours))
        shift = enlarged(self.offset) + (gain * pixels).sum(1)
        if self.added is not None:
            shift = shift + enlarged(self.added, self.added_down[rows])
        acts = weight > 0
        if not does_move:
            acts = acts & (shift != 0).any(0)
        moved = torch.cat([pixels + weight * shift, moved[self.colours :]])
        return torch.where(acts & torch.isfinite(moved), _like(moved, own), own)

    def within_reach(self, flow: Tensor, start: int, image: Tensor) -> Tensor:
        """The flow (2, R, W') of rows from `start` on, shorter where it leads out over an edge.

        Where the motion fades faster than it is long, content would come twice, once mirrored.
        """
        rows = torch.arange(start, start + flow.shape[1], device=flow.device) + 0.5
        columns = torch.arange(*self.columns, device=flow.device) + 0.5
        across = _reach(columns, self.columns, image.shape[2])
        down = _reach(rows, self.rows, image.shape[1])
        return torch.stack(
            [
                flow[0].clamp(-across[0], across[1]),
                flow[1].clamp(-down[0][:, None], down[1][:, None]),
            ]
        )


def _enlarging(side: int, length: int, device: torch.device) -> Tensor:
    """(length, side): enlarges one axis smoothly, by a cubic B-spline."""
    places = (torch.arange(length, device=device) + 0.5) * (side / length) - 0.5
    first = places.floor()
    share = (places - first)[:, None]
    weights = torch.cat(
        [
            (1 - share) ** 3 / 6,
            (3 * share**3 - 6 * share**2 + 4) / 6,
            (-3 * share**3 + 3 * share**2 + 3 * share + 1) / 6,
            share**3 / 6,
        ],
        dim=1,
    )
    indices = (first[:, None] + torch.arange(-1, 3, device=device)).clamp(0, side - 1).long()
    return torch.zeros(length, side, device=device).scatter_add_(1, indices, weights)


def _resizing(side: int, length: int, device: torch.device) -> Tensor:
    """(length, side): resizes one axis as images are, by antialiased bicubic interpolation."""
    identity = torch.eye(side, device=device)[None, None]
    if length == side:
        return identity[0, 0]
    return functional.interpolate(
        identity, size=(length, side), mode="bicubic", align_corners=False, antialias=True
    )[0, 0]


def _ramp(edges: tuple[int, int], size: int, soft: float, device: torch.device) -> Tensor:
    """A value for each pixel from one edge to the other: 1, and at an edge that lies inside of the
    `size` pixels of the image a smooth ramp from 0, over `soft` pixels where there is room."""
    start, stop = edges
    length = stop - start
    places = torch.arange(length, device=device) + 0.5
    ramp = torch.ones(length, device=device)
    wide = min(max(soft, 1.0), length / 4)
    if start > 0:
        ramp = ramp * (places / wide).clamp(0, 1)
    if stop < size:
        ramp = ramp * ((length - places) / wide).clamp(0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _reach(places: Tensor, edges: tuple[int, int], size: int) -> tuple[Tensor, Tensor]:
    """How far towards either edge a place may be drawn from: REACH of the way, or any distance
    where the edge is that of the image."""
    far = torch.full_like(places, math.inf)
    start, stop = edges
    before = (places - start) * REACH if start > 0 else far
    after = (stop - places) * REACH if stop < size else far
    return before, after


def _moved(image: Tensor, flow: Tensor, top: int, left: int, colours: int) -> Tensor:
    """(C, R, W') in image units, from where `flow` (2, R, W'), in pixels, points.

    Colours count by their alpha, where there is one: what is transparent has none to lend.
    """
    height, width = image.shape[1:]
    rows, columns = flow.shape[1:]
    x = torch.arange(left, left + columns, device=flow.device) + flow[0]
    y = torch.arange(top, top + rows, device=flow.device)[:, None] + flow[1]
    first = int(y.min().floor().clamp(0, height - 1)) - 2
    last = int(y.max().ceil().clamp(0, height - 1)) + 3
    first, last = max(first, 0), min(last, height)
    source = _values(image[:, first:last])
    if len(source) > colours:
        share = (source[colours:] + 1) / 2
        source = torch.cat([source, source[:colours] * share])
    places = torch.stack(
        [(x + 0.5) * (2 / width) - 1, (y - first + 0.5) * (2 / (last - first)) - 1], dim=-1
    )
    found = functional.grid_sample(
        source[None], places[None], mode="bicubic", padding_mode="border", align_corners=False
    )[0]
    if len(found) == colours:
        return found
    plain, alpha, weighted = found[:colours], found[colours : colours + 1], found[colours + 1 :]
    share = (alpha + 1) / 2
    seen = torch.where(share > LEAST_ALPHA, weighted / share.clamp(min=LEAST_ALPHA), plain)
    return torch.cat([seen, alpha])


def _values(image: Tensor) -> Tensor:
    """In [-1, 1], as the change is."""
    return image.float() / 127.5 - 1 if image.dtype == torch.uint8 else image.float() * 2 - 1


def _like(values: Tensor, own: Tensor) -> Tensor:
    if own.dtype == torch.uint8:
        return values.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return values.add(1).div(2).clamp(0, 1).to(own.dtype)
