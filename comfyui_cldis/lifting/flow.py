"""Dense optical flow between small images, in torch: batched, coarse to fine, on any device.

At each level of a pyramid the images are brought together by the flow so far, and what is left is
explained by a linear step per pixel, pooled over its neighbours and kept smooth: the combined
local-global method. Long ways are followed over intermediate frames.

Sources: Lucas and Kanade 1981; Bruhn, Weickert and Schnörr 2005 (IJCV 61), equations 6 to 14, with
Charbonnier weights in the data term.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .windows import resize_flow, shrink_to, warp, window_mean

COARSEST = 16  # side of the coarsest level
WARPS, SWEEPS = 3, 12  # of a level: times the images are brought together, and steps of each
SMOOTHNESS = 1.0
ROUNDING = 0.03  # of the Charbonnier weights, in image units of [-1, 1]
LONGEST_STEP = 2.0  # pixels of a level between two warps


def follow(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Flow from the last of several frames back to the first, over those between.

    Args:
        frames: (B, K, C, n, n) in [-1, 1], K >= 2, in the order of the change; n a power of two of
            at least COARSEST.

    Returns:
        The flow (B, 2, n, n), x then y, in pixels: last(p) ~ first(p + flow(p)); and its steps
        (B, K - 1, 2, n, n), each from a frame to the one before.
    """
    batch, count = frames.shape[:2]
    later, earlier = frames[:, 1:].flatten(0, 1), frames[:, :-1].flatten(0, 1)
    steps = find_flow(later, earlier).unflatten(0, (batch, count - 1))
    flow = steps[:, 0]
    for index in range(1, count - 1):
        step = steps[:, index]
        flow = step + warp(flow, step)
    for _ in range(WARPS):  # the steps led to the right place; what they blurred is found there
        flow = _improved(flow, frames[:, -1], frames[:, 0])
    return flow, steps


def find_flow(after: Tensor, before: Tensor) -> Tensor:
    """Where each pixel of `after` lies in `before`.

    Args:
        after, before: (B, C, n, n) in [-1, 1], n a power of two of at least COARSEST.

    Returns:
        (B, 2, n, n), x then y, in pixels: after(p) ~ before(p + flow(p)).
    """
    side = after.shape[-1]
    flow = after.new_zeros(len(after), 2, COARSEST, COARSEST)
    level = COARSEST
    while level <= side:
        flow = resize_flow(flow, level)
        target, source = shrink_to(after, level), shrink_to(before, level)
        for _ in range(WARPS):
            flow = _improved(flow, target, source)
        level *= 2
    return flow


def _improved(flow: Tensor, target: Tensor, source: Tensor) -> Tensor:
    """The flow after one linearisation of target(p) = source(p + flow(p)), solved by sweeps."""
    warped = warp(source, flow)
    across, down = _gradients((warped + target) / 2)
    difference = warped - target
    weight = torch.rsqrt(difference.square().mean(1, keepdim=True) + ROUNDING**2)
    products = (across * across, down * down, across * down, across * difference, down * difference)
    tensor = torch.cat([each.mean(1, keepdim=True) for each in products], 1) * weight
    xx, yy, xy, xt, yt = window_mean(tensor, 1).split(1, 1)
    x, y = flow.split(1, 1)
    right = torch.cat([xx * x + xy * y - xt, xy * x + yy * y - yt], 1)
    xx, yy = xx + SMOOTHNESS, yy + SMOOTHNESS
    determinant = xx * yy - xy * xy
    own, other = torch.cat([yy, xx], 1) / determinant, -xy / determinant  # of the 2 x 2 inverse
    fixed = torch.addcmul(own * right, other, right.flip(1))
    own, other = own * SMOOTHNESS, other * SMOOTHNESS
    solved = flow
    for _ in range(SWEEPS):  # fixed + inverse (SMOOTHNESS mean)
        mean = window_mean(solved, 1)
        solved = torch.addcmul(torch.addcmul(fixed, own, mean), other, mean.flip(1))
    return flow + (solved - flow).clamp(-LONGEST_STEP, LONGEST_STEP)


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences across and down."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return across, down
