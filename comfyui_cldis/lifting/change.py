"""What an edit changes, measured between small images: motion, colour, and what appeared.

A change can be explained by colours that change in place or by content that moves, and flow alone
finds motion everywhere: a darker cheek looks like a moved shadow. So motion is believed only where
it explains far more than a local colour map does, over the image (does this edit move anything?)
and then at each place. What neither explains has appeared, and is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .colour import ColourMap, fit_colour
from .flow import follow
from .windows import shrink_to, warp, window_mean

SIDE = 64  # pixels at which changes are measured; small, because small images are blurred
RADIUS, RIDGE = 3, 1.2e-3  # of the colour map that is applied
# Of the colour maps that compare the two explanations: a strong ridge, or motion passes for colour.
TEST_RADIUS, TEST_RIDGE = 2, 0.12
# How many times more motion must leave unexplained without it: over the image, and at each place.
MOVES_RATIO, MOVES_SOFTNESS = 3.3, 0.1
PLACE_RATIO, PLACE_NOISE, PLACE_SMOOTHNESS = 2.0, 1e-3, 5e-3
PLACE_RADIUS, PLACE_SWEEPS = 2, 40
TINY = 1e-6  # energy per pixel below which there is nothing to explain
APPEARED, APPEARED_RANGE, APPEARED_RADIUS = 0.15, 0.06, 3  # unexplained, in image units


@dataclass(frozen=True)
class Change:
    """What an edit does, for a batch of B items; independent of the size it is applied at.

    Attributes:
        flow: (B, 2, n, n), x then y, in sides of the square: edited(p) comes from p + flow(p).
        colour: what colours become after the move, on (B, C, n, n).
        added: (B, C, s, s), image units: added after both; zero where they explain the change.
        appeared: (B, 1, n, n) in [0, 1]: where they do not.
    """

    flow: Tensor
    colour: ColourMap
    added: Tensor
    appeared: Tensor

    def __len__(self) -> int:
        return len(self.flow)

    def item(self, index: int) -> Change:
        """The change of one item, as a batch of one."""
        at = slice(index, index + 1)
        colour = ColourMap(self.colour.gain[at], self.colour.offset[at])
        return Change(self.flow[at], colour, self.added[at], self.appeared[at])

    def without_added(self) -> Change:
        """Motion and colour alone."""
        return replace(self, added=torch.zeros_like(self.added))


def find_change(frames: Tensor) -> Change:
    """The change from the first to the last of several frames.

    Args:
        frames: (B, K, C, h, h) in [-1, 1], K >= 2: the same thing drawn from before an edit to
            after it; frames between make long ways easier to follow.

    Returns:
        The change of each item, measured at SIDE pixels; `added` is at SIDE too.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    if frames.dim() != 5 or frames.shape[1] < 2 or 0 in frames.shape:
        raise ValueError(
            f"The frames have shape {tuple(frames.shape)}. Give (B, K, C, h, w) with K at least 2."
        )
    if not bool(torch.isfinite(frames).all()):
        raise ValueError("The frames hold NaN or infinite values. Draw them from finite codes.")
    count = frames.shape[1]
    small = shrink_to(frames.float().flatten(0, 1), SIDE).unflatten(0, (-1, count))
    before, after = small[:, 0], small[:, -1]
    flow = _believed(follow(small), before, after)
    moved = warp(before, flow, "bicubic")
    colour = fit_colour(moved, after, radius=RADIUS, ridge=RIDGE)
    unexplained = after - colour.apply(moved)
    energy = unexplained.square().mean(1, keepdim=True)
    for _ in range(2):
        energy = window_mean(energy, APPEARED_RADIUS)
    appeared = ((energy.sqrt() - APPEARED) / APPEARED_RANGE).clamp(0, 1)
    return Change(flow / SIDE, colour, appeared * unexplained, appeared)


def find_difference(before: Tensor, after: Tensor) -> Change:
    """The change between two images whose content is not to be followed.

    Colours change in place, and all that a local colour map leaves is to be drawn: `appeared` is 1
    everywhere. An image so changed has the content of `after` and the fine detail of its own.

    Args:
        before, after: (B, C, h, h) in [-1, 1].
    """
    first, last = shrink_to(before.float(), SIDE), shrink_to(after.float(), SIDE)
    colour = fit_colour(first, last, radius=RADIUS, ridge=RIDGE)
    appeared = torch.ones_like(first[:, :1])
    none = torch.zeros_like(first[:, :1]).expand(-1, 2, -1, -1)
    return Change(none, colour, last - colour.apply(first), appeared)


def find_replacement(after: Tensor) -> Change:
    """The change that puts `after` (B, C, s, s) in [-1, 1] in the place of what was there."""
    batch, channels = after.shape[:2]
    gain = -torch.eye(channels, device=after.device).view(1, channels, channels, 1, 1)
    gain = gain.expand(batch, -1, -1, SIDE, SIDE)
    none = after.new_zeros(batch, channels, SIDE, SIDE)
    flow, everywhere = after.new_zeros(batch, 2, SIDE, SIDE), torch.ones_like(none[:, :1])
    return Change(flow, ColourMap(gain, none), after, everywhere)


def _believed(flow: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The flow where it pays, fading to none where colours alone explain the change."""
    stayed = _unexplained(before, after)
    moved = _unexplained(warp(before, flow, "bicubic"), after)
    ratio = (stayed.mean((1, 2, 3)) + TINY) / (moved.mean((1, 2, 3)) + TINY)
    does_move = torch.sigmoid((ratio / MOVES_RATIO).log() / MOVES_SOFTNESS)
    pays = window_mean(stayed, PLACE_RADIUS) - PLACE_RATIO * window_mean(moved, PLACE_RADIUS)
    pays = pays - PLACE_NOISE
    pro, contra = pays.clamp(min=0), (-pays).clamp(min=0)
    weight = pro + contra + PLACE_SMOOTHNESS
    solved = flow * pro / (pro + contra + TINY)
    for _ in range(PLACE_SWEEPS):
        solved = (pro * flow + PLACE_SMOOTHNESS * window_mean(solved, 1)) / weight
    return solved * does_move.view(-1, 1, 1, 1)


def _unexplained(before: Tensor, after: Tensor) -> Tensor:
    """(B, 1, n, n): energy that a colour map leaves, with what the map itself costs."""
    colour = fit_colour(before, after, radius=TEST_RADIUS, ridge=TEST_RIDGE)
    left = (colour.apply(before) - after).square().sum(1, keepdim=True)
    cost = colour.gain.square().flatten(1, 2).sum(1, keepdim=True)
    return left + TEST_RIDGE * cost
