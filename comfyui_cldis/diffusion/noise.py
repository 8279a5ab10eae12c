"""Noise that depends on the seed alone: made on the CPU, one private generator per batch item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

MAXIMUM_SEED = 2**64 - 1

Seed = int | Sequence[int]  # of item 0, the next ones counting up; or one for each item


def item_seeds(seed: Seed, count: int) -> list[int]:
    """A seed for each of `count` items: those given, or seed + b for item b, beginning again at 0
    after 2**64 - 1.

    Raises:
        TypeError: a seed is no whole number.
        ValueError: a seed is negative or beyond 2**64 - 1, or there are not as many as items.
    """
    if isinstance(seed, Sequence) and not isinstance(seed, str):
        if len(seed) != count:
            raise ValueError(f"There are {len(seed)} seeds for {count} items. Give one for each.")
        return [_checked(each) for each in seed]
    first = _checked(seed)
    return [(first + b) % (MAXIMUM_SEED + 1) for b in range(count)]


def shared_seeds(seed: int | None, count: int, num_variants: int) -> list[int] | None:
    """Seeds for `num_variants` of each of `count` items, item-major, where the variants of an item
    share its noise; None without a seed. Raises as `item_seeds`."""
    if seed is None:
        return None
    return [each for each in item_seeds(seed, count) for _ in range(num_variants)]


def _checked(seed: object) -> int:
    if not isinstance(seed, SupportsIndex):
        raise TypeError(f"The seed is {seed!r}. Give a whole number.")
    number = seed.__index__()
    if not 0 <= number <= MAXIMUM_SEED:
        raise ValueError(f"Seed {number} is out of range. Use 0 to {MAXIMUM_SEED}.")
    return number


def gaussian_noise(shape: Sequence[int], seed: Seed, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise of `shape` (B, ...), float32; item b comes from seed + b alone.

    A batch therefore equals its items drawn one by one, on every device, and the global random
    state is untouched.

    Args:
        seed: of the first item, or one for each.

    Raises:
        TypeError, ValueError: as `item_seeds`.
    """
    items = [
        torch.randn(tuple(shape[1:]), generator=torch.Generator("cpu").manual_seed(each))
        for each in item_seeds(seed, shape[0])
    ]
    return torch.stack(items).to(device) if items else torch.empty(tuple(shape), device=device)
