"""What a finder returns: unit vectors of the code, and the dimensions that they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Basis:
    """Directions as a finder found them.

    Attributes:
        finder: its name.
        vectors: (K, N) float32 on the CPU, unit rows in standard deviations of each code dimension,
            at right angles to each other but for those of `ica`, `sparse` and `joint` (which `auto`
            may choose); the entry of largest size is positive.
        facts: JSON-able figures of the search.
        paths: of a finder of curves, (K, B, P, N): the codes that B base items pass through, in
            standard deviations from the mean; `vectors` are then the mean first steps.
    """

    finder: str
    vectors: Tensor
    facts: Mapping[str, Any] = field(default_factory=dict)
    paths: Tensor | None = None

    def project(self, codes: Tensor) -> Tensor:
        """Amounts (n, K) of the directions in codes (n, N), both in standard deviations."""
        return codes @ torch.linalg.pinv(self.vectors.to(codes))


def place(vectors: Tensor, active: Tensor, num_codes: int) -> Tensor:
    """Vectors (K, M) over the active dimensions (M,) as signed unit rows (K, N) on the CPU."""
    full = torch.zeros(len(vectors), num_codes, dtype=torch.float64)
    full[:, active.cpu()] = vectors.detach().double().cpu()
    full = full / full.norm(dim=1, keepdim=True)
    largest = full.gather(1, full.abs().argmax(dim=1, keepdim=True))
    return (full * largest.sign()).float() + 0.0  # -0.0 becomes 0.0


def top_eigenvectors(gram: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest eigenvalues (count,) and their eigenvectors as rows, of (M, M)."""
    values, vectors = torch.linalg.eigh(gram.double())
    return values.flip(0)[:count], vectors.T.flip(0)[:count]


def spectrum(values: Tensor) -> dict[str, Any]:
    """Facts about eigenvalues: where two are nearly equal, their directions are arbitrary."""
    shares = values / values.sum().clamp(min=1e-30)
    gaps = 1 - values[1:] / values[:-1].clamp(min=1e-30)
    return {
        "shares": [round(float(share), 4) for share in shares],
        "smallest_gap": round(float(gaps.min()), 4) if len(gaps) else 1.0,
    }
