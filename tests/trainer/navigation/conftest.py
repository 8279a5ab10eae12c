"""A renderer whose factors are known: four coloured patches, mixed into a code by a rotation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainer.navigation import RendererSpace

STRENGTHS = torch.tensor([0.5, 0.4, 0.3, 0.2])


def turned(degrees: float) -> Tensor:
    """(4, 4): rows are the factors' directions in the code, turned in two planes."""
    angle = torch.tensor(degrees).deg2rad()
    c, s = float(angle.cos()), float(angle.sin())
    first = torch.tensor([[c, s, 0, 0], [-s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    second = torch.tensor([[1.0, 0, 0, 0], [0, c, s, 0], [0, -s, c, 0], [0, 0, 0, 1]])
    third = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, c, s], [0, 0, -s, c]])
    return first @ second @ third


def patches(factors: Tensor) -> Tensor:
    """Factors (b, 4) -> images (b, 3, 16, 16): each lights one quarter in a colour of its own."""
    images = torch.zeros(len(factors), 3, 16, 16, dtype=factors.dtype)
    amounts = factors * STRENGTHS.to(factors)
    rows = []
    for index, (row, column) in enumerate(((0, 0), (0, 8), (8, 0), (8, 8))):
        mask = torch.zeros(3, 16, 16, dtype=factors.dtype)
        mask[index % 3, row : row + 8, column : column + 8] = 1
        rows.append(mask)
    return images + torch.einsum("bk,kchw->bchw", amounts, torch.stack(rows))


def make_mixed_space(degrees: float, spread: str = "uniform", count: int = 2000) -> RendererSpace:
    """Codes = factors @ rows of `turned`; independent uniform, or Gaussian factors."""
    generator = torch.Generator().manual_seed(5)
    matrix = turned(degrees)
    if spread == "uniform":
        factors = (torch.rand(count, 4, generator=generator) - 0.5) * 12**0.5
    else:
        factors = torch.randn(count, 4, generator=generator) * torch.tensor([2.0, 1.4, 1.0, 0.6])
    return RendererSpace(lambda codes: patches(codes @ matrix.T.to(codes)), factors @ matrix)


@pytest.fixture(scope="session")
def mixed_space() -> Callable[..., RendererSpace]:
    """`mixed_space(degrees, spread, count)`."""
    return make_mixed_space


@pytest.fixture(scope="session")
def factor_rows() -> Callable[[float], Tensor]:
    """`factor_rows(degrees)`: the directions that a finder should find, (4, 4)."""
    return turned


@pytest.fixture(scope="session")
def agreement() -> Callable[[Tensor, Tensor], float]:
    """The least over the wanted rows of the largest |cosine| with a found row; 1 is a match."""
    return lambda found, wanted: float((wanted @ found.T).abs().amax(1).min())
