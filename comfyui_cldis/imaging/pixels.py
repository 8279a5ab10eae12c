"""8-bit pixels to the tensors that the networks take, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def from_pixels(pixels: np.ndarray | Tensor) -> Tensor:
    """uint8 (n, H, W, C) -> float32 (n, C, H, W) in [-1, 1], on the device of a tensor."""
    if not isinstance(pixels, Tensor):
        pixels = torch.from_numpy(np.ascontiguousarray(pixels))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """(n, C, H, W) in [-1, 1] -> uint8 (n, H, W, C) on the CPU, rounded; the rest is clipped."""
    levels = images.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return levels.to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous()
