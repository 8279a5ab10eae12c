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
from .space import Scene, Space

NUM_ITEMS = 32
BATCH = 8
EXACT = 64  # dimensions up to which every column of J is computed
POWER_ROUNDS = 8
SPARE = 5  # directions iterated besides those asked for, so that the last of those settle too
STREAM = 73


def jacobian_directions(
    space: Space, active: Tensor, count: int, seed: int
) -> tuple[Tensor, dict[str, Any]]:
    """Rows (count, M), largest change per standard deviation first.

    Up to `EXACT` active dimensions J is computed whole, a column by a forward derivative; beyond
    them the space of the largest eigenvectors is found by iteration, without forming J.
    """
    items = torch.from_numpy(evenly(len(space.codes), NUM_ITEMS))
    parts = []
    for index, part in enumerate(items.split(BATCH)):
        scene = space.scene(part, step_generator(seed, index, STREAM))
        parts.append((scene, space.codes[part.to(space.codes.device)]))
    active = active.to(space.codes.device)
    eye = torch.eye(space.codes.shape[1], device=space.codes.device)[active]  # (M, N)
    if len(active) <= EXACT:
        image = [
            torch.stack([slope(scene, codes, row) for row in eye]).flatten(1)
            for scene, codes in parts
        ]
        gram = sum((j.double() @ j.double().T for j in image), torch.zeros(()).double())
        assert isinstance(gram, Tensor)
        values, rows = top_eigenvectors(gram / len(items), count)
        return rows, spectrum(values) | {"method": "exact"}
    width = min(len(active), count + SPARE)
    start = torch.randn(len(active), width, generator=step_generator(seed, 0, STREAM + 1))
    block = torch.linalg.qr(start.to(eye))[0].T  # (width, M)
    for _ in range(POWER_ROUNDS):
        block = torch.linalg.qr(_gram_times(parts, block @ eye)[:, active].T)[0].T
    small = block.double() @ _gram_times(parts, block @ eye)[:, active].double().T / len(items)
    values, turn = top_eigenvectors((small + small.T) / 2, count)
    return turn @ block.double(), spectrum(values) | {"method": "power iteration"}


def slope(scene: Scene, codes: Tensor, vector: Tensor) -> Tensor:
    """J v for every item: change of the images (b, C, S, S) per unit along `vector` (N,)."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the only one with forward derivatives
        return torch.func.jvp(scene, (codes,), (vector.expand_as(codes),))[1]


def _gram_times(parts: list[tuple[Scene, Tensor]], rows: Tensor) -> Tensor:
    """Sum over items of J^T J v for each row v (K, N)."""
    total = torch.zeros_like(rows)
    for scene, codes in parts:
        inputs = codes.detach().requires_grad_()
        with torch.enable_grad():
            images = scene(inputs)
        for index, row in enumerate(rows):
            change = slope(scene, codes, row)
            (back,) = torch.autograd.grad(images, inputs, change, retain_graph=True)
            total[index] += back.sum(0)
    return total
