"""8-bit pixels and tensors: every level comes back, and what is out of range is clipped."""

import numpy as np
import pytest
import torch

from comfyui_cldis.imaging.tensors import from_pixels, to_pixels

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_comes_back(channels: int) -> None:
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
