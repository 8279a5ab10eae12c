"""Factors from one latent to another: how far along directions they differ, and moving there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .direction import Direction, as_number
from .editable import EditableModel
from .latent import Latent
from .pipeline import check_code, edit

MAXIMUM_STRENGTH = 2.0
MAX_ROUNDS, ENOUGH = 100, 1e-9  # over directions with a path; change of amounts to stop at


def transfer(
    model: EditableModel,
    latent: Latent,
    reference: Latent,
    names: Sequence[str] = (),
    strength: float = 1.0,
) -> Latent:
    """Moves items along directions until they lie where a reference does on them.

    Noise map, residual code and sources stay, so that the change is an edit of the item's image.

    Args:
        reference: one item for all, or one for each.
        names: of the directions; none: all of the model.
        strength: in [0, 2], share of the way; 0 changes nothing, bit for bit.

    Raises:
        TypeError: a text in the place of the names.
        ValueError: unknown direction, latents that do not fit, or a strength out of range.
    """
    share = as_number(strength)
    if share is None or not 0 <= share <= MAXIMUM_STRENGTH:
        raise ValueError(
            f"The strength is {strength!r}. Give a number from 0 to {MAXIMUM_STRENGTH:g}."
        )
    chosen = _chosen(model, names)
    amounts = amounts_between(model, latent, reference, names) * share
    edits = [
        dict(zip((direction.name for direction in chosen), row, strict=True))
        for row in amounts.tolist()
    ]
    return edit(model, latent, edits)


def amounts_between(
    model: EditableModel, first: Latent, second: Latent, names: Sequence[str] = ()
) -> Tensor:
    """How far to move `first` along directions so that it comes nearest to `second`.

    The distance is that of the codes in standard deviations, and least squares over all the
    directions together: they need not be orthogonal, and what two of them share is counted once.
    What is left of the difference is orthogonal to the directions, so that both then lie at the
    same place on each. With fewer directions, one takes over the shared part of those left out.

    A direction with a `path` is followed along its bends, which start at `first`: straight and
    bent directions take turns, each going to its own nearest place, until no amount changes.

    Args:
        second: one item for all of `first`, or one for each.
        names: of the directions; none: all of the model.

    Returns:
        (B, K) float64 on the CPU, in the order of `names`.

    Raises:
        TypeError: a text in the place of the names.
        ValueError: unknown direction, or latents that do not fit.
    """
    chosen = _chosen(model, names)
    std = model.statistics.std.double().cpu()
    for latent in (first, second):
        check_code(model, latent)
    if len(second) not in (1, len(first)):
        raise ValueError(
            f"The reference has {len(second)} images and the latent {len(first)}. Give one for "
            "all, or one for each."
        )
    alive = std > 0  # a dimension that never varied has no deviations to count in
    difference = (second.z.double().cpu() - first.z.double().cpu())[:, alive] / std[alive]
    amounts = torch.zeros(len(difference), len(chosen), dtype=torch.float64)
    straight = [index for index, direction in enumerate(chosen) if direction.path is None]
    bent = [index for index in range(len(chosen)) if index not in straight]
    vectors = torch.tensor([chosen[index].vector for index in straight], dtype=torch.float64)
    vectors = vectors.reshape(len(straight), len(std))[:, alive]
    inverse = torch.linalg.pinv(vectors)
    paths = {index: _Polyline(chosen[index], alive) for index in bent}
    for _ in range(MAX_ROUNDS):
        before = amounts.clone()
        along_paths = sum((path.points(amounts[:, index]) for index, path in paths.items()), 0)
        amounts[:, straight] = (difference - along_paths) @ inverse
        for index, path in paths.items():
            others = sum((o.points(amounts[:, i]) for i, o in paths.items() if i != index), 0)
            amounts[:, index] = path.nearest(difference - amounts[:, straight] @ vectors - others)
        if not paths or float((amounts - before).abs().max()) < ENOUGH:
            break
    for index, direction in enumerate(chosen):
        if direction.scale is not None:
            placed = [direction.scale.amount(value) for value in amounts[:, index].tolist()]
            amounts[:, index] = torch.tensor(placed, dtype=torch.float64)
    return amounts


def _chosen(model: EditableModel, names: Sequence[str]) -> list[Direction]:
    if isinstance(names, str):
        raise TypeError(f"The names are the text {names!r}. Give a list of names.")
    return [model.direction(name) for name in dict.fromkeys(names)] or list(model.directions)


class _Polyline:
    """The path of a direction in the dimensions that vary; its first and last piece go on."""

    def __init__(self, direction: Direction, alive: Tensor) -> None:
        assert direction.path is not None
        corners = torch.tensor(direction.path.points, dtype=torch.float64)[:, alive]
        self._amounts = torch.tensor(direction.path.amounts, dtype=torch.float64)
        self._starts, self._steps = corners[:-1], corners[1:] - corners[:-1]  # (P - 1, N)

    def points(self, amounts: Tensor) -> Tensor:
        """(B,) -> (B, N)."""
        piece = torch.searchsorted(self._amounts, amounts.contiguous(), right=True) - 1
        piece = piece.clamp(0, len(self._steps) - 1)
        start, end = self._amounts[piece], self._amounts[piece + 1]
        share = (amounts - start) / (end - start)
        return self._starts[piece] + share[:, None] * self._steps[piece]

    def nearest(self, target: Tensor) -> Tensor:
        """(B, N) -> (B,): the amount whose point is nearest."""
        offset = target[:, None] - self._starts  # (B, P - 1, N)
        length = self._steps.square().sum(1)
        share = (offset * self._steps).sum(2) / length.clamp(min=1e-300)
        low, high = torch.zeros_like(length), torch.ones_like(length)
        low[0], high[-1] = -torch.inf, torch.inf
        share = torch.where(length > 0, torch.minimum(torch.maximum(share, low), high), 0.0)
        distance = (offset - share[..., None] * self._steps).square().sum(2)
        piece = distance.argmin(1)
        start, end = self._amounts[piece], self._amounts[piece + 1]
        return start + share.gather(1, piece[:, None])[:, 0] * (end - start)
