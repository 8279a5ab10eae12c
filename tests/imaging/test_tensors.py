"""Images and pixels as tensors and back: layout, range, and every level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.imaging.sheet import to_image
from comfyui_cldis.imaging.tensors import from_pixels, to_pixels, to_tensor

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def test_layout_and_range() -> None:
    array = np.zeros((2, 3, 3), np.uint8)
    array[1, 2] = (10, 128, 255)
    tensor = to_tensor(Image.fromarray(array))
    assert tensor.shape == (1, 3, 2, 3) and tensor.dtype == torch.float32
    expected = [10 / 127.5 - 1, 128 / 127.5 - 1, 1.0]
    assert tensor[0, :, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)
    assert tensor[0, :, 0, 0].tolist() == [-1.0] * 3


@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_of_an_image_comes_back(channels: int) -> None:
    levels = LEVELS[0, :, :, 0]
    array = levels if channels == 1 else np.stack([levels, levels.T, 255 - levels], axis=-1)
    tensor = to_tensor(Image.fromarray(array))
    assert tensor.shape == (1, channels, 16, 16)
    assert np.array_equal(np.asarray(to_image(tensor[0])), array)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_of_pixels_comes_back(channels: int) -> None:
    pixels = LEVELS.repeat(channels, 3)
    images = from_pixels(pixels)
    assert images.shape == (1, channels, 16, 16) and images.dtype == torch.float32
    assert images.min() == -1 and images.max() == 1
    assert np.array_equal(to_pixels(images).numpy(), pixels)
    assert torch.equal(from_pixels(torch.from_numpy(pixels)), images)


def test_half_levels_are_rounded_and_the_rest_is_clipped() -> None:
    images = torch.tensor([-3.0, -1.0, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 1.0, 7.0])
    assert to_pixels(images.view(1, 1, 1, 6)).flatten().tolist() == [0, 0, 0, 1, 255, 255]


def test_views_that_numpy_cannot_hand_over_are_copied() -> None:
    assert torch.equal(from_pixels(LEVELS[:, ::-1]), from_pixels(LEVELS).flip(2))
