"""Directions as unit vectors of the standardised code, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Vectors = Mapping[str, Sequence[float]]  # name -> (N,), in standard deviations of each code


def axis_vectors(num_codes: int) -> dict[str, list[float]]:
    """The N axes of the code, called "code 0" to "code N - 1"."""
    return {f"code {index}": row for index, row in enumerate(torch.eye(num_codes).tolist())}


def rotated_vectors(vectors: Vectors, seed: int) -> dict[str, list[float]]:
    """A control: as many random directions of the same span, called "rotated 0", "rotated 1", ...

    Given orthogonal directions the new ones are orthogonal too. A basis that is disentangled
    scores clearly above its rotations.
    """
    matrix = stack_vectors(vectors).double()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(matrix), len(matrix), generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(noise)
    mixed = (q * r.diagonal().sign()) @ matrix
    mixed = mixed / mixed.norm(dim=1, keepdim=True)
    return {f"rotated {index}": row for index, row in enumerate(mixed.tolist())}


def stack_vectors(vectors: Vectors, num_codes: int | None = None) -> Tensor:
    """The vectors as rows (K, N) of length 1, float32.

    Raises:
        ValueError: none at all, one of a wrong length, not finite, or zero.
    """
    if not vectors:
        raise ValueError("There are no directions to track. Give at least one.")
    rows = []
    for name, vector in vectors.items():
        row = torch.tensor([float(value) for value in vector], dtype=torch.float64)
        expected = num_codes if num_codes is not None else len(next(iter(vectors.values())))
        if len(row) != expected:
            raise ValueError(
                f"Direction '{name}' has {len(row)} numbers but the code has {expected}. "
                "Use directions of this model."
            )
        length = float(row.norm())
        if not length > 0 or length == float("inf"):
            raise ValueError(
                f"Direction '{name}' has length {length}. Give finite numbers, not all 0."
            )
        rows.append(row / length)
    return torch.stack(rows).float()
