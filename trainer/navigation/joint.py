"""Directions that change an image sparsely and whose amounts are independent of each other.

    min over rotations Q of  M sum |Q S| / sum |S_0| - w sum_k (E ln cosh y_k - .37457)^2

y = Q x are the codes, made white and turned, S what one standard deviation of each white dimension
changes in some base images, S_0 the same at the first start. Two things that say nothing of each
other find the factors from two sides: a factor acts in few places and in few ways, while a mix of
factors acts wherever one of them does; and factors vary independently, which a mix hides by being
nearer to a Gaussian. .37457 is E ln cosh of a Gaussian.

Sources: Jennrich 2004 (Psychometrika 69) for the sum of absolute values, Hyvärinen 1999 for the
contrast ln cosh, Jacobi for the plane rotations; that both are minimised together is our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.evenly import evenly
from ..training.batches import step_generator
from .active import Active
from .effects import axis_effects
from .pca import White, smallest_angle, whiten
from .progress import Watch
from .rotation import random_rows
from .space import Space

WEIGHT = 200.0  # of independence; 0 asks for sparse effects alone (docs/log/finders.md)
BASE_ITEMS = 24
STARTS, SWEEPS = 4, 12
GAUSSIAN = 0.37457  # E ln cosh of a standard normal variable
# Angles that a plane is turned by: the whole quarter turn, after which everything repeats, then a
# fifth of the way to the neighbours of the best.
COARSE = torch.linspace(-math.pi / 4, math.pi / 4, 16, dtype=torch.float64)[:-1]
FINE = torch.linspace(-1, 1, 11, dtype=torch.float64) * (math.pi / 30)
SETTLED = 0.005  # radians; a sweep that turns no plane farther is the last
LEAST_GAIN = 1e-9  # of the objective, below which a plane stays as it is
STREAM = 101


class Turned(NamedTuple):
    """White codes and effects after a rotation.

    Attributes:
        rotation: (K, K), the rows of Q.
        codes: (K, n), amounts y along them.
        effects: (K, F), sum of absolute values K over all rows at the first start.
    """

    rotation: Tensor
    codes: Tensor
    effects: Tensor

    def by(self, rotation: Tensor) -> Turned:
        """Turned further by (K, K)."""
        return Turned(*(rotation @ values for values in self))


def joint_directions(
    space: Space,
    active: Active,
    codes: Tensor,
    size: int,
    count: int,
    seed: int,
    weight: float,
    watch: Watch,
) -> tuple[Tensor, dict[str, Any]]:
    """Rows (count, M) of unit length over the active dimensions, strongest effect first, and facts.

    The rows are mixing vectors like those of `pca.independent`: how the code moves when one amount
    changes and the others stay.

    Args:
        codes: (n, M), how the active dimensions are spread over images.
        size: K at least `count`: how many principal components of the codes are turned.
        weight: of independence.

    Raises:
        ValueError, ModuleNotFoundError: as of `axis_effects`.
        KeyboardInterrupt: `watch` asked to stop.
    """
    total = len(active.dimensions) + STARTS
    steps = iter(range(1, total + 1))

    def report() -> None:
        watch.report(next(steps), total)

    items = torch.from_numpy(evenly(len(space.codes), BASE_ITEMS))
    effects = axis_effects(space, active.dimensions, items, seed, report)
    white = whiten(codes, size)
    best, sweeps = _best_rotation(white, effects, seed, weight, report)
    strength = best.effects.square().sum(1)
    order = strength.argsort(descending=True, stable=True)[:count]
    rows = best.rotation[order] @ white.mixing
    rows = rows / rows.norm(dim=1, keepdim=True)
    return rows, {
        "sweeps": sweeps,
        "effects_left": round(float(best.effects.abs().sum()) / size, 4),
        "contrast": [round(value, 4) for value in _contrast(best.codes[order]).tolist()],
        "smallest_angle_degrees": round(smallest_angle(rows), 2),
    }


def _best_rotation(
    white: White, effects: Tensor, seed: int, weight: float, on_start: Callable[[], object]
) -> tuple[Turned, int]:
    """The best of several starts, the first of which is no rotation, and its sweeps.

    Args:
        effects: (M, F), of the dimensions that `white.mixing` (K, M) leads to.
    """
    size = len(white.mixing)
    unscaled = white.start @ white.mixing @ effects
    scaled = unscaled * size / unscaled.abs().sum()
    first = Turned(white.start, white.start @ white.codes.T, scaled)
    generator = step_generator(seed, 0, STREAM)
    best, sweeps = settle(first, weight)
    on_start()
    for _ in range(STARTS - 1):
        found, taken = settle(first.by(random_rows(size, size, generator).double()), weight)
        if objective(found, weight) < objective(best, weight) - LEAST_GAIN:
            best, sweeps = found, taken
        on_start()
    return best, sweeps


def objective(turned: Turned, weight: float) -> float:
    """What is minimised: sparse effects, less independence times its weight."""
    contrast = _contrast(turned.codes).square().sum()
    return float(turned.effects.abs().sum() - weight * contrast)


def settle(start: Turned, weight: float) -> tuple[Turned, int]:
    """Turn one plane after the other to its best angle until none turns; also how many sweeps."""
    rotation, codes, effects = (values.clone() for values in start)
    sweeps, largest = 0, math.inf
    while sweeps < SWEEPS and largest > SETTLED:
        sweeps, largest = sweeps + 1, 0.0
        for i in range(len(rotation)):
            for j in range(i):
                angle = best_angle(codes[[i, j]], effects[[i, j]], weight)
                if not angle:
                    continue
                cos, sin = math.cos(angle), math.sin(angle)
                plane = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
                for values in (rotation, codes, effects):
                    values[[i, j]] = plane @ values[[i, j]]
                largest = max(largest, abs(angle))
    return Turned(rotation, codes, effects), sweeps


def best_angle(codes: Tensor, effects: Tensor, weight: float) -> float:
    """Best angle in radians for two rows of codes (2, n) and of effects (2, F); 0 to stay."""
    coarse = COARSE[_values(codes, effects, weight, COARSE).argmin()]
    angles = torch.cat([coarse + FINE, torch.zeros(1, dtype=torch.float64)])
    found = _values(codes, effects, weight, angles)
    best = int(found.argmin())
    return float(angles[best]) if float(found[best]) < float(found[-1]) - LEAST_GAIN else 0.0


def _values(codes: Tensor, effects: Tensor, weight: float, angles: Tensor) -> Tensor:
    """The part (A,) of the objective that two rows have, at each angle."""
    cos, sin = angles.cos(), angles.sin()
    planes = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)  # (A, 2, 2)
    value = (planes @ effects).abs().sum(dim=(1, 2))
    if weight:
        value = value - weight * _contrast(planes @ codes).square().sum(1)
    return value


def _contrast(codes: Tensor) -> Tensor:
    """E ln cosh of amounts (..., n), less that of a Gaussian; positive for flat distributions."""
    size = codes.abs()
    return (size + (-2 * size).exp().log1p()).mean(-1) - math.log(2) - GAUSSIAN
