"""CIELAB of images, and how far two images are apart in it."""

from __future__ import annotations

from torch import Tensor


def to_lab(images: Tensor) -> Tensor:
    """Images (n, 1 or 3, H, W) in [-1, 1], sRGB, as CIELAB (n, 3, H, W) float32 under D65.

    L is in [0, 100], a and b within about [-108, 99]. Values outside [-1, 1] are clamped. kornia's
    matrix has six digits, so that a grey has a chroma of up to 0.005.

    Raises:
        ValueError: another number of channels or axes.

    Source: CIE 15:2004, section 8.2.1.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"The images have shape {tuple(images.shape)}; expected (n, 1 or 3, H, W). "
            "Decode latents to images first."
        )
    from kornia.color import rgb_to_lab  # slow to import

    return rgb_to_lab(images.float().add(1).div(2).clamp(0, 1).expand(-1, 3, -1, -1))


def lab_change(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square over the pixels of the CIELAB distance: (n, 3, H, W) twice -> (n,).

    2.3 is about the smallest difference an eye sees between two patches; noise and small moves
    count by their share of the image.
    """
    return (first - second).square().sum(1).flatten(1).mean(1).sqrt()
