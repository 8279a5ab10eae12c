"""Directions that change the image most: eigenvectors of E[J^T J], J = d image / d code.

Sources: Haas et al. 2023 (arXiv:2303.11073), Park et al. 2023 (arXiv:2302.12469), for a diffusion
model's spectrum; averaging over images makes the directions the same for all of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..data.evenly import evenly
from ..training.batches import step_generator
from .basis import spectrum, top_eigenvectors
from .progress import Watch
from .space import Scene, Space

NUM_ITEMS = 32
BATCH = 8
MOST_VALUES = 2**26  # of the changes kept at once: 256 MB, or one item if that is more
COLUMNS = 2**15  # of J whose products are summed at a time in float64
STREAM = 73


def jacobian_directions(
    space: Space, active: Tensor, count: int, seed: int, watch: Watch
) -> tuple[Tensor, dict[str, Any]]:
    """Rows (count, M), largest change per standard deviation first.

    J is computed whole for some items at a time, one forward derivative for each active dimension.
    Iteration without forming J^T J is faster only for a few directions of some hundreds of
    dimensions, and torch.lobpcg takes a matrix, not a function.
    """
    items = torch.from_numpy(evenly(len(space.codes), NUM_ITEMS))
    active = active.to(space.codes.device)
    eye = torch.eye(space.codes.shape[1], device=space.codes.device)[active]  # (M, N)
    gram = torch.zeros(len(active), len(active), dtype=torch.float64, device=eye.device)
    batch = max(1, min(BATCH, MOST_VALUES // (len(active) * _size(space, items[:1], seed))))
    parts = items.split(batch)
    for index, part in enumerate(parts):
        scene = space.scene(part, step_generator(seed, index, STREAM))
        codes = space.codes[part.to(space.codes.device)]
        changes = torch.stack([slope(scene, codes, row) for row in eye])  # (M, b, C, S, S)
        for change in changes.flatten(2).unbind(1):
            for some in change.split(COLUMNS, dim=1):
                gram += some.double() @ some.double().T
        watch.report(index + 1, len(parts))
    values, rows = top_eigenvectors(gram / len(items), count)
    return rows, spectrum(values)


def _size(space: Space, item: Tensor, seed: int) -> int:
    """Values of the image of an item (1,)."""
    with torch.no_grad():
        scene = space.scene(item, step_generator(seed, 0, STREAM))
        return scene(space.codes[item.to(space.codes.device)]).numel()


def slope(scene: Scene, codes: Tensor, vector: Tensor) -> Tensor:
    """J v for every item: change of the images (b, C, S, S) per unit along `vector` (N,)."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the only one with forward derivatives
        return torch.func.jvp(scene, (codes,), (vector.expand_as(codes),))[1]
