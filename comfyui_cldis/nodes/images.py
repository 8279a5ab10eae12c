"""ComfyUI's images (B, H, W, C) in [0, 1] <-> the library's (B, C, H, W) in [-1, 1].

The only file that knows ComfyUI's layout. Rules for unusual channels:
- grey (1 channel) counts as red = green = blue;
- transparency (the 2nd channel of grey, the 4th of colour) is laid over white;
- a grey model (1 channel) reads the luma .299 R + .587 G + .114 B;
- values outside [0, 1] are clipped; NaN and infinity are refused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.tensors import to_model_range


def check_images(image: Tensor) -> None:
    """Raises ValueError unless `image` is a non-empty (B, H, W, C) with C from 1 to 4."""
    shape = tuple(image.shape)
    if image.ndim != 4 or 0 in shape or shape[-1] > 4:
        raise ValueError(
            f"The image has shape {shape}; expected (batch, height, width, 1 to 4 channels) with "
            "at least one image. Connect the IMAGE output of a node that makes images."
        )


def to_library(image: Tensor, channels: int, label: str) -> Tensor:
    """ComfyUI's image as the library reads it; a new tensor on the same device.

    Args:
        image: (B, H, W, C), C from 1 to 4.
        channels: what the model wants, 1 or 3.
        label: the model's name for the message.
    Returns: (B, channels, H, W) float32 in [-1, 1].
    Raises: ValueError for NaN or infinity, odd shapes, or a model that does not work on images.
    """
    check_images(image)
    if channels not in (1, 3):
        raise ValueError(
            f"{label} works on {channels}-channel latents, not on images. "
            "Load a model with 1 or 3 channels."
        )
    if not bool(torch.isfinite(image).all()):
        raise ValueError(
            "The image holds NaN or infinite values. Fix the node that made it; a VAE Decode in "
            "half precision is a common cause."
        )
    pixels = image.float().clamp(0, 1).movedim(-1, 1)  # (B, H, W, C) -> (B, C, H, W)
    return to_model_range(pixels, channels)


def to_comfyui(pixels: Tensor) -> Tensor:
    """(B, 1 or 3, H, W) in [-1, 1] -> (B, H, W, 3) float32 in [0, 1], clipped."""
    image = pixels.float().add(1).div(2).clamp(0, 1).movedim(1, -1)
    return image.expand(*image.shape[:-1], 3).contiguous()


def grid(image: Tensor, num_columns: int, gap: int = 2) -> Tensor:
    """Images (B, H, W, C), row after row, on one white sheet (1, H', W', C) with thin gaps."""
    num_rows = len(image) // num_columns
    assert num_rows * num_columns == len(image)
    _, height, width, channels = image.shape
    sheet = image.new_ones(
        1,
        num_rows * (height + gap) - gap,
        num_columns * (width + gap) - gap,
        channels,
    )
    for index, item in enumerate(image):
        top = index // num_columns * (height + gap)
        left = index % num_columns * (width + gap)
        sheet[0, top : top + height, left : left + width] = item
    return sheet
