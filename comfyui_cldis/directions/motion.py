"""How things move between two sets of images: the shift, growth and turn that explain most.

A few movements are fitted to all pairs at once, coarse to fine, by Gauss-Newton steps on the
images that both should share half-way (after Lucas & Kanade 1981, with the parametric
fields of Bergen et al. 1992). An image that only gets brighter or redder is explained by none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

MAX_SIDE = 48  # pixels; larger images are measured at this size
LEVELS = (8, 4, 2, 1)  # coarseness, as factors of the side
STARTS = (0, -3, -2)  # of the levels that are left
SMALLEST_LEVEL = 6  # pixels; coarser levels are left out
STEPS_PER_LEVEL = 6
SMALLEST_CHANGE = 1e-6  # mean square, in the units of the images
MOST_SHIFT = 2.2  # in spreads of the change: what moves further leaves two places changed
MOST_GROWTH, MOST_TILT = 0.5, 0.8  # share, radians; beyond, things vanish rather than move
SOFTENING = (1.0, 4.0, 6.0, 4.0, 1.0)  # so that shifts by parts of a pixel do not blur the rest
WINDOW = 2.0  # radius of what moves, in spreads of the change


class Motion(NamedTuple):
    """One movement, shared by all pairs. Lengths are in half sides: the image is 2 x 2.

    Attributes:
        right, down: shift of what changes.
        wider, taller: growth of its width and height, as a share (0.1 is 10 % more).
        tilt: rotation within the image in radians, clockwise.
        turn, nod: how much further the middle of what changes moves to the right and down than
            its outline does, as when a head turns.
        spread: (x, y) root mean square distance of the change from its middle.
        explained: share of the squared change that the movement explains, at most 1.
    """

    right: float = 0.0
    down: float = 0.0
    wider: float = 0.0
    taller: float = 0.0
    tilt: float = 0.0
    turn: float = 0.0
    nod: float = 0.0
    spread: tuple[float, float] = (0.0, 0.0)
    explained: float = 0.0


class Place(NamedTuple):
    """Where a change lies, in half sides: (B,) each, of the change of each pair.

    Attributes:
        x, y: its middle; right and down are positive.
        spread_x, spread_y: root mean square distance from it.
    """

    x: Tensor
    y: Tensor
    spread_x: Tensor
    spread_y: Tensor


def place_of(energy: Tensor) -> Place:
    """Middle and spread of a change; `energy` (B, H, W) is at least 0, and 0 where nothing is."""
    height, width = energy.shape[-2:]
    x, y = _axis(width), _axis(height)
    total = energy.sum((1, 2)).clamp(min=1e-12)
    columns, rows = energy.sum(1) / total[:, None], energy.sum(2) / total[:, None]
    middle_x, middle_y = (columns * x).sum(1), (rows * y).sum(1)
    spread_x = (columns * (x - middle_x[:, None]).square()).sum(1).sqrt()
    spread_y = (rows * (y - middle_y[:, None]).square()).sum(1).sqrt()
    return Place(middle_x, middle_y, spread_x, spread_y)


def fit_motions(low: Tensor, high: Tensor) -> tuple[Motion, Motion]:
    """The movement of a whole thing from `low` to `high`, and that of its inside and outline.

    Args:
        low, high: (B, C, H, W), any scale; what each direction end looks like on B images.

    Returns:
        A movement with right, down, wider, taller and tilt, and one with right and down (of the
        outline), turn and nod.
    """
    low, high = _small(low.float()), _small(high.float())
    energy = (high - low).square().sum(1)
    energy = (energy - 0.02 * energy.amax((1, 2), keepdim=True)).clamp(min=0)  # less the noise
    place = place_of(energy)
    spread = (float(place.spread_x.mean()), float(place.spread_y.mean()))
    shifts = torch.tensor(spread).clamp(min=0.08) * MOST_SHIFT
    limits = torch.cat([shifts, torch.tensor([MOST_GROWTH, MOST_GROWTH, MOST_TILT])])
    whole, explained = _fit(low, high, _whole_fields(place, low), limits)
    outside = Motion(*whole, spread=spread, explained=explained)
    inner_fields = _inner_fields(place, low)
    inner, _ = _fit(low, high, inner_fields, shifts)
    # Two fields that shift what is in the middle can trade places: begin where only one moves.
    starts = torch.tensor([[*whole[:2], 0.0, 0.0], [0.0, 0.0, *inner]])
    fields = torch.cat([_whole_fields(place, low)[:2], inner_fields])
    (right, down, turn, nod), explained = _fit(low, high, fields, shifts.repeat(2), starts)
    inside = Motion(right, down, turn=turn, nod=nod, spread=spread, explained=explained)
    return outside, inside


def _axis(count: int) -> Tensor:
    """Centres of `count` pixels in half sides, from about -1 to about 1."""
    return (torch.arange(count) + 0.5) * 2 / count - 1


def _small(images: Tensor) -> Tensor:
    """At most MAX_SIDE pixels wide, and a little softened."""
    if max(images.shape[-2:]) > MAX_SIDE:
        images = functional.interpolate(images, size=(MAX_SIDE, MAX_SIDE), mode="area")
    count = images.shape[1]
    weights = torch.tensor(SOFTENING) / sum(SOFTENING)
    padded = functional.pad(images, (2, 2, 2, 2), mode="replicate")
    across = functional.conv2d(padded, weights.expand(count, 1, 1, 5), groups=count)
    return functional.conv2d(across, weights[:, None].expand(count, 1, 5, 1), groups=count)


def _offsets(place: Place, images: Tensor) -> tuple[Tensor, Tensor]:
    """Distances from the middle of the change, (B, H, W) each."""
    height, width = images.shape[-2:]
    x = (_axis(width)[None] - place.x[:, None])[:, None, :].expand(-1, height, -1)
    y = (_axis(height)[None] - place.y[:, None])[:, :, None].expand(-1, -1, width)
    return x, y


def _whole_fields(place: Place, images: Tensor) -> Tensor:
    """(5, B, H, W, 2): right, down, wider, taller, tilt; fading out far from the change."""
    x, y = _offsets(place, images)
    reach_x = WINDOW * place.spread_x.clamp(min=0.08)[:, None, None]
    reach_y = WINDOW * place.spread_y.clamp(min=0.08)[:, None, None]
    away = ((x / reach_x).square() + (y / reach_y).square()).square()
    window, none = torch.exp(-away / 4), torch.zeros_like(x)
    fields = [
        torch.stack([window, none], -1),
        torch.stack([none, window], -1),
        torch.stack([window * x, none], -1),
        torch.stack([none, window * y], -1),
        torch.stack([-window * y, window * x], -1),
    ]
    return torch.stack(fields)


def _inner_fields(place: Place, images: Tensor) -> Tensor:
    """(2, B, H, W, 2): shifts to the right and down that fall to 0 at the edge of the change."""
    x, y = _offsets(place, images)
    reach_x = WINDOW * place.spread_x.clamp(min=0.08)[:, None, None]
    reach_y = WINDOW * place.spread_y.clamp(min=0.08)[:, None, None]
    inside = (1 - (x / reach_x).square() - (y / reach_y).square()).clamp(min=0)
    none = torch.zeros_like(x)
    return torch.stack([torch.stack([inside, none], -1), torch.stack([none, inside], -1)])


def _fit(
    low: Tensor,
    high: Tensor,
    fields: Tensor,
    limits: Tensor,
    guesses: Tensor | None = None,
) -> tuple[list[float], float]:
    """Amounts (P,) of the fields (P, B, H, W, 2), and the share of the squared change explained.

    Small things look alike when they are blurred, and a coarse start can then match the wrong
    ones; so the descent starts at several levels, or from `guesses` (G, P) at the finest one, and
    the best end counts. A movement that runs into a limit explains nothing: something vanishes
    there rather than moves.
    """
    change = float((high - low).square().sum())
    nothing = torch.zeros(len(fields))
    if change < SMALLEST_CHANGE * low.numel():
        return nothing.tolist(), 0.0
    levels = []
    for level in LEVELS:
        if min(low.shape[-2:]) // level < SMALLEST_LEVEL and level > 1:
            continue
        flat = fields.permute(0, 1, 4, 2, 3).flatten(0, 1)  # (P * B, 2, H, W)
        bases = functional.avg_pool2d(flat, level).unflatten(0, fields.shape[:2])
        pair = functional.avg_pool2d(low, level), functional.avg_pool2d(high, level)
        levels.append((*pair, bases.permute(0, 1, 3, 4, 2)))
    found, error = nothing, change
    begun = [(start, nothing) for start in STARTS]
    if guesses is not None:
        begun = [(len(levels) - 1, guess.clamp(-limits, limits)) for guess in guesses]
    for start, amounts in begun:
        misfit = change
        for first, second, bases in levels[start:]:
            amounts, misfit = _descend(first, second, bases, amounts, limits)
        if misfit < error:
            found, error = amounts, misfit
    if bool((found.abs() > 0.99 * limits).any()):
        return found.tolist(), 0.0
    return found.tolist(), 1 - error / change


def _descend(
    low: Tensor, high: Tensor, fields: Tensor, amounts: Tensor, limits: Tensor
) -> tuple[Tensor, float]:
    """Gauss-Newton steps that never make the misfit worse; returns amounts and misfit."""
    none = torch.zeros_like(amounts)
    best = min(
        ((_misfit(low, high, fields, each), each) for each in (amounts, none)),
        key=lambda pair: float(pair[0][0].square().sum()),
    )
    (residual, slopes), amounts = best
    error = float(residual.square().sum())
    for _ in range(STEPS_PER_LEVEL):
        jacobian = torch.einsum("pbhwk,bchwk->pbchw", fields, slopes).flatten(1)
        normal = jacobian @ jacobian.T
        normal += (1e-3 * normal.diagonal().mean() + 1e-9) * torch.eye(len(normal))
        step = torch.linalg.solve(normal, jacobian @ residual.flatten())
        for scale in (1.0, 0.4, 0.1):
            tried = (amounts + scale * step).clamp(-limits, limits)
            residual_tried, slopes_tried = _misfit(low, high, fields, tried)
            error_tried = float(residual_tried.square().sum())
            if error_tried < error:
                break
        else:
            return amounts, error
        gained = error - error_tried
        amounts, residual, slopes, error = tried, residual_tried, slopes_tried, error_tried
        if gained < 1e-3 * error:
            break
    return amounts, error


def _misfit(low: Tensor, high: Tensor, fields: Tensor, amounts: Tensor) -> tuple[Tensor, Tensor]:
    """What differs when both images are moved half-way, and its slope with the movement.

    Returns:
        (B, C, H, W), and (B, C, H, W, 2): how much less it gets per half side of movement.
    """
    height, width = low.shape[-2:]
    half = torch.einsum("p,pbhwk->bhwk", amounts, fields) / 2
    y, x = torch.meshgrid(_axis(height), _axis(width), indexing="ij")
    grid = torch.stack([x, y], -1)
    first = _sampled(low, grid - half)  # what was at p - half has come to p
    second = _sampled(high, grid + half)
    middle = (first + second) / 2
    padded = functional.pad(middle, (1, 1, 1, 1), mode="replicate")
    slope_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / (4 / width)
    slope_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / (4 / height)
    return second - first, -torch.stack([slope_x, slope_y], -1)


def _sampled(images: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
