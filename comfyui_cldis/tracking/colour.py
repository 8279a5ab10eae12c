"""CIELAB of images, and how far two images are apart in it."""

from __future__ import annotations

import torch
from torch import Tensor

# Linear sRGB -> XYZ divided by the white point D65 (IEC 61966-2-1), so that white is (1, 1, 1).
_TO_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
_CUT, _SLOPE, _OFFSET = (6 / 29) ** 3, (29 / 6) ** 2 / 3, 4 / 29


def to_lab(images: Tensor) -> Tensor:
    """Images (n, 1 or 3, H, W) in [-1, 1], sRGB, as CIELAB (n, 3, H, W), L in [0, 100].

    Raises:
        ValueError: another number of channels.

    Source: CIE 15:2004, section 8.2.1.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"The images have shape {tuple(images.shape)}; expected (n, 1 or 3, H, W). "
            "Decode latents to images first."
        )
    srgb = images.detach().float().cpu().add(1).div(2).clamp(0, 1).expand(-1, 3, -1, -1)
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,njhw->nihw", torch.tensor(_TO_XYZ), linear)
    root = torch.where(xyz > _CUT, xyz.clamp(min=_CUT) ** (1 / 3), _SLOPE * xyz + _OFFSET)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_change(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square over the pixels of the CIELAB distance: (n, 3, H, W) twice -> (n,).

    2.3 is about the smallest difference an eye sees between two patches; noise and small moves
    count by their share of the image.
    """
    return (first - second).square().sum(1).flatten(1).mean(1).sqrt()
