"""Decoded images as the library's tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """A mode "RGB" or "L" image as (1, C, H, W) float32 in [-1, 1], C 3 or 1."""
    pixels = np.array(image, dtype=np.uint8).reshape(image.height, image.width, -1)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # (H, W, C) -> (1, C, H, W)
    return tensor.float().div_(127.5).sub_(1)
