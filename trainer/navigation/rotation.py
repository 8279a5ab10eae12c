"""Orthonormal directions with free parameters: the matrix exponential of a skew matrix."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Rotation(nn.Module):
    """The first K rows of exp(L - L^T), L (M, M) strictly upper; L = 0 gives the first K axes.

    Source: Voynov & Babenko 2020 (arXiv:2002.03754), whose L starts at random; here it starts at 0,
    because the code is near its factors already.
    """

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        self.size, self.count = size, count
        self.angles = nn.Parameter(torch.zeros(size * (size - 1) // 2))
        self.register_buffer("places", torch.triu_indices(size, size, 1), persistent=False)

    def rows(self) -> Tensor:
        """(K, M), orthonormal."""
        places = self.get_buffer("places")
        angles = self.angles.double()  # in float32 the exponential is off in the fifth digit
        upper = angles.new_zeros(self.size, self.size)
        upper = upper.index_put((places[0], places[1]), angles)
        return torch.matrix_exp(upper - upper.T)[: self.count].to(self.angles.dtype)

    def forward(self, codes: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
        """Shifts (n, M) of any codes by signed amounts (n,) along the chosen rows."""
        return amounts[:, None] * self.rows()[chosen]


class Fixed(nn.Module):
    """Rows (K, M) that stay as they are."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("_rows", rows, persistent=False)

    def rows(self) -> Tensor:
        """(K, M)."""
        return self.get_buffer("_rows")

    def forward(self, codes: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
        """As `Rotation.forward`."""
        return amounts[:, None] * self.rows()[chosen]


def largest_rotation_deg(rows: Tensor) -> float:
    """Angle in degrees by which the row that moved most has left its axis."""
    return float(rows.detach().diagonal().clamp(-1, 1).acos().rad2deg().max())


def random_rows(size: int, count: int, generator: torch.Generator) -> Tensor:
    """(count, size): rows of a rotation drawn uniformly."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator))
    return (q * r.diagonal().sign())[:count].contiguous()
