"""Optical flow in torch: known motions are found, and a batch gives what its items give."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from comfyui_cldis.lifting.flow import find_flow, follow
from comfyui_cldis.lifting.windows import (
    LARGEST_PRODUCT,
    resize_flow,
    shrink_to,
    warp,
    window_mean,
)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.5, -0.5), (-3.0, 2.0), (5.0, 4.0)])
def test_a_shift_is_found_to_a_fraction_of_a_pixel(
    x: float, y: float, smooth_noise, shifted
) -> None:
    before = smooth_noise(0)
    flow = find_flow(shifted(before, x, y), before)[0, :, 8:-8, 8:-8]
    wanted = torch.tensor([-x, -y]).view(2, 1, 1)
    assert float((flow - wanted).norm(dim=0).median()) < 0.15


def test_a_long_way_is_followed_over_frames(smooth_noise, shifted) -> None:
    before = smooth_noise(1, cells=16)
    frames = torch.stack([shifted(before, 3.0 * step, 0) for step in range(5)], dim=1)
    flow, steps = follow(frames)
    assert steps.shape == (1, 4, 2, 64, 64)
    each = steps[0, :, :, 8:-8, 20:-8] - torch.tensor([-3.0, 0]).view(2, 1, 1)
    assert float(each.norm(dim=1).median()) < 0.2
    inner = flow[0, :, 8:-8, 20:-8]
    assert float((inner - torch.tensor([-12.0, 0]).view(2, 1, 1)).norm(dim=0).median()) < 0.4


def test_a_batch_equals_its_items(smooth_noise, shifted) -> None:
    before = torch.cat([smooth_noise(2), smooth_noise(3)])
    after = torch.cat([shifted(before[:1], 2, 1), shifted(before[1:], -1, 0)])
    together = find_flow(after, before)
    for index in range(2):
        at = slice(index, index + 1)
        torch.testing.assert_close(together[at], find_flow(after[at], before[at]))


def test_windows() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert float(window_mean(image, 1)[0, 0, 1, 1]) == float(image[0, 0, :3, :3].mean())
    assert float(window_mean(image, 1)[0, 0, 0, 0]) == float(image[0, 0, :2, :2].mean())
    assert torch.equal(shrink_to(image, 2)[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))
    assert torch.equal(resize_flow(torch.ones(1, 2, 4, 4), 8), torch.full((1, 2, 8, 8), 2.0))
    assert torch.allclose(warp(image, torch.zeros(1, 2, 4, 4)), image)


@pytest.mark.parametrize("side", [5, LARGEST_PRODUCT, LARGEST_PRODUCT + 1])
@pytest.mark.parametrize("radius", [1, 3, 7])
def test_windows_of_every_size_are_those_of_pooling(side: int, radius: int) -> None:
    images = torch.randn(2, 3, side, side + 1, generator=torch.Generator().manual_seed(0))
    pooled = avg_pool2d(images, 2 * radius + 1, 1, radius, count_include_pad=False)
    torch.testing.assert_close(window_mean(images, radius), pooled, atol=1e-6, rtol=1e-5)
