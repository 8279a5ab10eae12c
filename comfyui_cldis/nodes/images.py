"""ComfyUI's images (B, H, W, C) in [0, 1] <-> the library's pixels (B, C, H, W) in [0, 1].

The only file that knows ComfyUI's layout. Rules for unusual channels:
- grey (1 channel) counts as red = green = blue;
- transparency (the 2nd channel of grey, the 4th of colour) is laid over white;
- a grey model (1 channel) reads the luma .299 R + .587 G + .114 B;
- values outside [0, 1] are clipped; NaN and infinity are refused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..editing.framing import resize
from ..imaging.mask import check_shape
from ..imaging.tensors import in_model_range, to_model_channels


def check_images(image: Tensor) -> None:
    """Raises ValueError unless `image` is a non-empty (B, H, W, C) with C from 1 to 4."""
    shape = tuple(image.shape)
    if image.ndim != 4 or 0 in shape or shape[-1] > 4:
        raise ValueError(
            f"The image has shape {shape}; expected (batch, height, width, 1 to 4 channels) with "
            "at least one image. Connect the IMAGE output of a node that makes images."
        )


def check_channels(channels: int, label: str) -> None:
    """Raises ValueError for the channels of a model that does not work on images."""
    if channels not in (1, 3):
        raise ValueError(
            f"{label} works on {channels}-channel latents, not on images. "
            "Load a model with 1 or 3 channels."
        )


def to_pixels(image: Tensor, channels: int, label: str) -> Tensor:
    """ComfyUI's image in the library's layout, on the same device; not copied where it fits.

    Args:
        image: (B, H, W, C), C from 1 to 4.
        channels: what the model wants, 1 or 3.
        label: the model's name for the message.
    Returns: (B, channels, H, W) float32 in [0, 1].
    Raises: ValueError for NaN or infinity, odd shapes, or a model that does not work on images.
    """
    check_images(image)
    check_channels(channels, label)
    if not bool(torch.isfinite(image).all()):
        raise ValueError(
            "The image holds NaN or infinite values. Fix the node that made it; a VAE Decode in "
            "half precision is a common cause."
        )
    pixels = image.float().movedim(-1, 1)  # (B, H, W, C) -> (B, C, H, W)
    if float(pixels.min()) < 0 or float(pixels.max()) > 1:
        pixels = pixels.clamp(0, 1)
    return to_model_channels(pixels, channels)


def to_library(image: Tensor, channels: int, label: str) -> Tensor:
    """The same as `to_pixels`, in [-1, 1]; a new tensor."""
    return in_model_range(to_pixels(image, channels, label))


def to_comfyui(pixels: list[Tensor]) -> Tensor:
    """(1 or 3, H, W) in [0, 1] each, all of one size -> (B, H, W, 3) float32 in [0, 1].

    Beside the result no copy of the batch is made: photographs are large.
    """
    first = pixels[0]
    result = torch.empty(len(pixels), *first.shape[1:], 3, device=first.device)
    for own, image in zip(result, pixels, strict=True):
        if image.shape[1:] != first.shape[1:]:
            raise ValueError("The images differ in size. Give images of one size.")
        own.copy_(image.movedim(0, -1))
    return result.clamp_(0, 1)


def to_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """ComfyUI's MASK as shares of an edit.

    Args:
        mask: (B, H, W) or (H, W).
        size: height and width of the images; a mask of the same shape is resized to it. One that is
            black everywhere may have any shape: for a picture without transparency, Load Image
            gives 64 x 64 black pixels.
    Returns: (B, H, W) float32 in [0, 1] at that size.
    Raises: ValueError for NaN, odd shapes, or another shape than that of the images.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3 or 0 in mask.shape or not bool(torch.isfinite(mask).all()):
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)}, or holds NaN; expected (batch, height, "
            "width) with values from 0 to 1. Connect the MASK output of a node that makes masks."
        )
    shares = mask.float().clamp(0, 1)
    if not bool(shares.any()):
        return shares.new_zeros(len(shares), *size)
    check_shape((mask.shape[2], mask.shape[1]), (size[1], size[0]))
    return resize(shares[:, None], *size)[:, 0]


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
