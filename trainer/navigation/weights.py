"""Directions in closed form from the weights that take the code.

Source: Shen & Zhou 2021 (SeFa, arXiv:2007.06600): the top eigenvectors of W^T W for a linear layer
W behind the code. Here an MLP and an activation come before the last layer, so W is replaced by its
derivative at codes of images, and the products are averaged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..data.evenly import evenly
from .basis import spectrum, top_eigenvectors
from .space import Space

NUM_CODES = 32


def weight_directions(space: Space, active: Tensor, count: int) -> tuple[Tensor, dict[str, Any]]:
    """Rows (count, M): orthonormal steps, the one that changes the conditions most first.

    In a decoder with a token for each scalar no two dimensions share a weight, so the answer is
    the axes in the order of their weights.
    """
    chosen = torch.from_numpy(evenly(len(space.codes), NUM_CODES))
    gram = conditioning_gram(space, space.codes[chosen.to(space.codes.device)])
    active = active.to(gram.device)
    values, vectors = top_eigenvectors(gram[active][:, active], count)
    return vectors, spectrum(values)


@torch.no_grad()
def conditioning_gram(space: Space, codes: Tensor) -> Tensor:
    """E[J^T J] (N, N) float64, J the derivative of `Space.conditions` at each code (b, N)."""
    shifts = torch.eye(codes.shape[1], device=codes.device)
    gram = torch.zeros(len(shifts), len(shifts), dtype=torch.float64, device=codes.device)
    for code in codes.split(1):  # one at a time: J of a wide code is large
        columns = [torch.func.jvp(space.conditions, (code,), (row[None],))[1] for row in shifts]
        jacobian = torch.cat(columns).double()  # (N, F)
        gram += jacobian @ jacobian.T
    return gram / len(codes)
