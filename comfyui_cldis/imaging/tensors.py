"""Images and pixels as the tensors that the networks take, (n, C, H, W) in [-1, 1], and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def to_tensor(image: Image.Image) -> Tensor:
    """A mode "RGB" or "L" image as (1, C, H, W) float32 in [-1, 1], C 3 or 1."""
    return in_model_range(image_pixels(image))


def image_pixels(image: Image.Image) -> Tensor:
    """A mode "RGB" or "L" image as (1, C, H, W) uint8, C 3 or 1."""
    pixels = np.array(image, dtype=np.uint8).reshape(1, image.height, image.width, -1)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def to_model_channels(pixels: Tensor, channels: int) -> Tensor:
    """Pixels in [0, 1] in the channels that a model reads; the same tensor where they are those.

    Alpha (the 2nd channel of grey, the 4th of colour) is laid over white, grey becomes three equal
    channels, and a grey model reads the luma.

    Args:
        pixels: (B, C, H, W) floating point, C from 1 to 4.
        channels: what the model wants, 1 or 3.
    Returns: (B, channels, H, W) in [0, 1], on the same device.
    """
    if pixels.shape[1] in (2, 4):
        colour, alpha = pixels[:, :-1], pixels[:, -1:]
        pixels = colour * alpha + (1 - alpha)
    if channels == 3 and pixels.shape[1] == 1:
        pixels = pixels.expand(-1, 3, -1, -1)
    if channels == 1 and pixels.shape[1] == 3:
        weights = pixels.new_tensor(LUMA).view(1, 3, 1, 1)
        pixels = (pixels * weights).sum(dim=1, keepdim=True)
    return pixels


def in_model_range(pixels: Tensor) -> Tensor:
    """uint8, or floating point in [0, 1] -> float32 in [-1, 1]; a new tensor."""
    if pixels.dtype == torch.uint8:
        return pixels.float() / 127.5 - 1
    return (pixels.float() * 2 - 1).contiguous()


def from_pixels(pixels: np.ndarray | Tensor) -> Tensor:
    """uint8 (n, H, W, C) -> float32 (n, C, H, W) in [-1, 1], on the device of a tensor."""
    if not isinstance(pixels, Tensor):
        pixels = torch.from_numpy(np.ascontiguousarray(pixels))
    return in_model_range(pixels.permute(0, 3, 1, 2))


def to_pixels(images: Tensor) -> Tensor:
    """(n, C, H, W) in [-1, 1] -> uint8 (n, H, W, C) on the CPU, rounded; the rest is clipped."""
    levels = images.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return levels.to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous()
