"""What is drawn in a step of a search that learns: base items, directions, amounts, jitter."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .predictor import Jitter
from .settings import NavigationSettings
from .space import Scene, Space

LEAST_SHIFT, GREATEST_SHIFT = 0.5, 3.0  # standard deviations
EFFECT_SIDE = 8  # cells to a side at which effects are compared


class Moves(NamedTuple):
    """P items, each moved along J different directions; n = P * J, item-major.

    Attributes:
        scene: draws the items.
        codes: (n, N), before the move.
        before: images (n, C, S, S).
        chosen: direction of each move (n,) long.
        amounts: (n,), signed, in standard deviations.
        jitter: of each pair.
        times: J.
    """

    scene: Scene
    codes: Tensor
    before: Tensor
    chosen: Tensor
    amounts: Tensor
    jitter: Jitter
    times: int


def draw_moves(
    space: Space, settings: NavigationSettings, count: int, generator: torch.Generator
) -> Moves:
    """Everything random about a step from a CPU generator; `count` is the number of directions."""
    device = space.codes.device
    num_items = settings.images_per_step
    times = min(settings.moves_per_image, count)
    items = torch.randint(len(space.codes), (num_items,), generator=generator)
    scene = space.scene(items, generator)
    chosen = torch.rand(num_items, count, generator=generator).argsort(1)[:, :times].flatten()
    size = LEAST_SHIFT + (GREATEST_SHIFT - LEAST_SHIFT) * torch.rand(
        len(chosen), generator=generator
    )
    sign = 2.0 * torch.randint(2, (len(chosen),), generator=generator) - 1
    codes = space.codes[items.to(device)]
    with torch.no_grad():
        base = scene(codes)
    jitter = Jitter.draw(len(chosen), base.shape[1], generator)
    return Moves(
        scene,
        codes.repeat_interleave(times, 0),
        base.repeat_interleave(times, 0),
        chosen.to(device),
        (size * sign).to(device),
        jitter,
        times,
    )


def apply_moves(space: Space, moves: Moves, shifts: Tensor) -> tuple[Tensor, Tensor]:
    """Images after shifts (n, N) of the codes, and the amounts (n,) really moved.

    Codes are kept within the range of the data, so that a move may come out shorter than asked for.
    """
    moved = (moves.codes + shifts).clamp(min=space.low, max=space.high)
    share = ((moved - moves.codes) * shifts).sum(1) / shifts.square().sum(1).clamp(min=1e-12)
    return moves.scene(moved), (share * moves.amounts).detach()


def similarity(moves: Moves, after: Tensor) -> Tensor:
    """Mean squared cosine of the effects of different directions on the same image, in [0, 1].

    Effects are changes per standard deviation at 8 x 8 cells. Twins score 1, directions that
    change different things 0.
    """
    change = F.adaptive_avg_pool2d(after - moves.before, min(EFFECT_SIDE, after.shape[-1]))
    effects = F.normalize(change.flatten(1) * moves.amounts.sign()[:, None], dim=1)
    effects = effects.view(-1, moves.times, effects.shape[1])  # (P, J, cells)
    cosines = effects @ effects.transpose(1, 2)
    if moves.times < 2:
        return cosines.sum() * 0
    others = 1 - torch.eye(moves.times, device=cosines.device)
    return (cosines.square() * others).sum() / (len(cosines) * moves.times * (moves.times - 1))
