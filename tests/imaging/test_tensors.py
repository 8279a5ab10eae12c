"""Decoded images as tensors: layout and range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.imaging.sheet import to_image
from comfyui_cldis.imaging.tensors import to_tensor


def test_layout_and_range() -> None:
    array = np.zeros((2, 3, 3), np.uint8)
    array[1, 2] = (10, 128, 255)
    tensor = to_tensor(Image.fromarray(array))
    assert tensor.shape == (1, 3, 2, 3) and tensor.dtype == torch.float32
    expected = [10 / 127.5 - 1, 128 / 127.5 - 1, 1.0]
    assert tensor[0, :, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)
    assert tensor[0, :, 0, 0].tolist() == [-1.0] * 3


@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_comes_back(channels: int) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    array = levels if channels == 1 else np.stack([levels, levels.T, 255 - levels], axis=-1)
    tensor = to_tensor(Image.fromarray(array))
    assert tensor.shape == (1, channels, 16, 16)
    assert np.array_equal(np.asarray(to_image(tensor[0])), array)
