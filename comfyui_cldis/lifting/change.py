"""What an edit changes, measured between small images: motion, colour, and what appeared.

A change can be explained by colours that change in place or by content that moves, and flow alone
finds motion everywhere: a darker cheek looks like a moved shadow. So motion is believed only if it
explains far more of the image than a local colour map does. (Asked at each place, the answers tear
faces apart.) What neither explains has appeared, and is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .colour import ColourMap, fit_colour
from .flow import follow
from .windows import resize_flow, shrink_to, warp, window_mean

SIDE = 64  # pixels at which changes are measured; small, because small images are blurred
RADIUS, RIDGE = 3, 1.2e-3  # of the colour map that is applied
# Of the colour maps that compare the two explanations: a strong ridge, or motion passes for colour.
TEST_RADIUS, TEST_RIDGE = 2, 0.12
# How many times more must be left unexplained without motion, of the whole change or of its steps.
MOVES_RATIO, STEP_RATIO, MOVES_SOFTNESS = 2.4, 4.5, 0.1
# Deviation over mean of the lengths of a flow in which all moves alike, and how much more must be
# explained, in powers of the ratio to that, where things move unlike each other.
SAME_SPREAD, WHOLE_DOUBT, STEP_DOUBT = 0.6, 2.0, 4.0
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
    flow, steps = follow(small)
    flow = flow * _does_move(flow, steps, small).view(-1, 1, 1, 1)
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


def _does_move(flow: Tensor, steps: Tensor, frames: Tensor) -> Tensor:
    """(B,) in [0, 1]: whether motion explains what colours in place cannot.

    Asked of the whole change, and of its steps where all of the image moves alike: a long way is
    easier to see in small steps, a short one as a whole, and steps alone take a receding edge for
    motion. Steps are so short that half the size will do for the question.
    """
    count = frames.shape[1] - 1
    whole = _gain(flow, frames[:, 0], frames[:, -1], 1)
    halves = shrink_to(frames.flatten(0, 1), SIDE // 2).unflatten(0, (-1, count + 1))
    stepwise = _gain(
        resize_flow(steps.flatten(0, 1), SIDE // 2),
        halves[:, :-1].flatten(0, 1),
        halves[:, 1:].flatten(0, 1),
        count,
    )
    length = flow.norm(dim=1).flatten(1)
    spread = length.std(1) / (length.mean(1) + TINY)
    whole, stepwise = (whole / MOVES_RATIO).log(), (stepwise / STEP_RATIO).log()
    doubt = (spread / SAME_SPREAD).log().clamp(min=0)
    score = torch.maximum(whole - WHOLE_DOUBT * doubt, stepwise - STEP_DOUBT * doubt)
    return torch.sigmoid(score / MOVES_SOFTNESS)


def _gain(flow: Tensor, before: Tensor, after: Tensor, count: int) -> Tensor:
    """(B,): how many times less motion leaves unexplained, over `count` pairs of each item."""
    moved = warp(before, flow, "bicubic")
    left = _unexplained(torch.cat([before, moved]), torch.cat([after, after])).mean((1, 2, 3))
    stayed, moved = left.view(2, -1, count).sum(2)
    return (stayed + TINY) / (moved + TINY)


def _unexplained(before: Tensor, after: Tensor) -> Tensor:
    """(B, 1, n, n): energy that a colour map leaves, with what the map itself costs."""
    colour = fit_colour(before, after, radius=TEST_RADIUS, ridge=TEST_RIDGE)
    left = (colour.apply(before) - after).square().sum(1, keepdim=True)
    cost = colour.gain.square().flatten(1, 2).sum(1, keepdim=True)
    return left + TEST_RIDGE * cost
