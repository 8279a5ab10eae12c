"""Noise that depends on the seed alone: made on the CPU, one private generator per batch item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

MAXIMUM_SEED = 2**64 - 1


def gaussian_noise(shape: Sequence[int], seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise of `shape` (B, ...), float32; item b comes from seed + b.

    A batch therefore equals its items drawn one by one, on every device, and the global random
    state is untouched.

    Raises:
        TypeError: `seed` is no whole number.
        ValueError: `seed` is negative or beyond 2**64 - 1.
    """
    if not isinstance(seed, SupportsIndex):
        raise TypeError(f"The seed is {seed!r}. Give a whole number.")
    if not 0 <= seed <= MAXIMUM_SEED:
        raise ValueError(f"Seed {seed} is out of range. Use 0 to {MAXIMUM_SEED}.")
    items = [
        torch.randn(
            tuple(shape[1:]),
            generator=torch.Generator("cpu").manual_seed((seed + b) % (MAXIMUM_SEED + 1)),
        )
        for b in range(shape[0])
    ]
    return torch.stack(items).to(device) if items else torch.empty(tuple(shape), device=device)
