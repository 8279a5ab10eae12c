"""Images of smooth noise, and content that moves by a known way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from comfyui_cldis.lifting.windows import warp


@pytest.fixture(scope="session")
def smooth_noise() -> Callable[..., Tensor]:
    """`smooth_noise(seed, cells=12, side=64)`: (1, 3, side, side) in [-1, 1], blobs."""

    def draw(seed: int, cells: int = 12, side: int = 64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, cells, cells, generator=generator) * 2 - 1
        large = functional.interpolate(coarse, size=(side, side), mode="bicubic")
        return large.clamp(-1, 1)

    return draw


@pytest.fixture(scope="session")
def shifted() -> Callable[[Tensor, float, float], Tensor]:
    """`shifted(image, x, y)`: the image with its content moved by (x, y) pixels."""

    def shift(image: Tensor, x: float, y: float) -> Tensor:
        flow = torch.tensor([-float(x), -float(y)]).view(1, 2, 1, 1)
        return warp(image, flow.expand(1, 2, *image.shape[-2:]), "bicubic")

    return shift
