"""The curves of a finder as sliders: one path for all images, and amounts along several of them.

A finder of curves moves every code on a curve of its own. A slider moves all codes alike, so it
takes the mean of what the curves add to the code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from comfyui_cldis.editing.code_path import CodePath

from .basis import Basis
from .potential import REACH

STRAIGHT = 5.0  # degrees; curves that stay within them of their vector are stored as that vector
LEAST_AMOUNT = 0.5  # standard deviations; nearer to the start an angle says little
ROUNDS = 30
FIRST_DAMPING = 1e-2


def amounts_of(paths: Tensor) -> Tensor:
    """(P,) amounts at which paths (..., P, N) have their points: evenly, 0 in the middle."""
    return torch.linspace(-REACH, REACH, paths.shape[-2])


def shared_points(paths: Tensor) -> Tensor:
    """(K, P, N): mean over the base items of what the paths (K, B, P, N) add to their codes."""
    middle = paths.shape[2] // 2
    return (paths - paths[:, :, middle : middle + 1]).mean(1)


def spread(paths: Tensor) -> float:
    """Distance of the curves' ends from those of their mean, over the length of the way.

    0: every code moves as the slider does; near 1: the curves share little.
    """
    added = paths - paths[:, :, paths.shape[2] // 2, None]
    apart = (added - added.mean(1, keepdim=True)).norm(dim=-1)
    return float(apart[:, :, [0, -1]].mean()) / REACH


def bends(basis: Basis) -> Tensor:
    """(K,) largest angle in degrees between what a mean curve adds and the straight vector."""
    assert basis.paths is not None
    points, amounts = shared_points(basis.paths), amounts_of(basis.paths)
    far = amounts.abs() >= LEAST_AMOUNT
    ways = torch.nn.functional.normalize(points * amounts.sign()[:, None], dim=-1)[:, far]
    cosines = torch.einsum("kpn,kn->kp", ways, basis.vectors)
    return cosines.clamp(-1, 1).acos().rad2deg().amax(1)


def slider_paths(basis: Basis) -> tuple[CodePath | None, ...]:
    """For each direction its path in the model file; None where the vector says the same."""
    if basis.paths is None:
        return (None,) * len(basis.vectors)
    amounts = tuple(round(amount, 6) for amount in amounts_of(basis.paths).tolist())
    return tuple(
        CodePath(amounts, tuple(map(tuple, points.tolist()))) if bend > STRAIGHT else None
        for points, bend in zip(shared_points(basis.paths), bends(basis).tolist(), strict=True)
    )


def slider_amounts(basis: Basis, codes: Tensor) -> Tensor:
    """Amounts (n, K) at which the sliders together come nearest to codes (n, N), from the mean.

    Of a basis without bent paths these are its projections. Else the sum of what the paths add is
    fitted to each code by damped Gauss-Newton steps (Levenberg 1944), from the projections on;
    beyond its ends a path is straight.
    """
    codes = codes.double().cpu()
    found = basis.project(codes)
    if basis.paths is None:
        return found.float()
    amounts = amounts_of(basis.paths).double()
    straight = amounts[:, None] * basis.vectors.double()[:, None]  # (K, P, N)
    is_bent = bends(basis)[:, None, None] > STRAIGHT
    points = torch.where(is_bent, shared_points(basis.paths).double(), straight)
    damping = torch.full((len(codes), 1, 1), FIRST_DAMPING, dtype=torch.float64)
    sums, slopes = _sums(points, amounts, found)
    for _ in range(ROUNDS):
        missing = codes - sums
        normal = slopes @ slopes.mT + damping * torch.eye(points.shape[0], dtype=torch.float64)
        step = torch.linalg.solve(normal, slopes @ missing[..., None])[..., 0]
        tried = found + step
        sums_tried, slopes_tried = _sums(points, amounts, tried)
        is_better = (codes - sums_tried).norm(dim=1) < missing.norm(dim=1)
        found = torch.where(is_better[:, None], tried, found)
        sums = torch.where(is_better[:, None], sums_tried, sums)
        slopes = torch.where(is_better[:, None, None], slopes_tried, slopes)
        damping = torch.where(is_better[:, None, None], damping / 4, damping * 8)
    return found.float()


def _sums(points: Tensor, amounts: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """What sliders with `points` (K, P, N) add at amounts (n, K): (n, N), its slopes (n, K, N)."""
    piece = torch.bucketize(at, amounts, right=True).clamp(1, len(amounts) - 1) - 1  # (n, K)
    which = torch.arange(len(points)).expand_as(piece)
    start, end = points[which, piece], points[which, piece + 1]  # (n, K, N)
    slopes = (end - start) / (amounts[piece + 1] - amounts[piece])[..., None]
    return (start + slopes * (at - amounts[piece])[..., None]).sum(1), slopes
