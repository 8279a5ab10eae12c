"""Effects of pairs whose difference is known."""

import numpy as np
import pytest
import torch

pytest.importorskip("cv2")

from comfyui_cldis.tracking.effects import measure_effects, warp
from comfyui_cldis.tracking.flow import flow_method


def spots(shift: float = 0.0, brightness: float = 0.0, colour: float = 0.0) -> torch.Tensor:
    """A CIELAB image (1, 3, 64, 64) of smooth spots, the same at any shift but for the border."""
    at = torch.arange(64.0)
    y, x = torch.meshgrid(at, at - shift, indexing="ij")
    lab = torch.zeros(1, 3, 64, 64)
    lab[0, 0] = 50 + 30 * torch.sin(x / 3.7) * torch.cos(y / 4.3) + brightness
    lab[0, 1] = 20 * torch.cos(x / 5.1 + y / 6.1) + colour
    return lab


@pytest.fixture(scope="module")
def dis():
    return flow_method("dis")


def test_a_shift_is_motion_and_not_colour(dis):
    effects = measure_effects(dis, spots(), spots(shift=3))
    assert effects.cells.shape == (1, 4, 8, 8)
    motion_x, motion_y, brightness, colour = effects.cells[0, :, 2:6, 2:6].mean((1, 2)).tolist()
    assert motion_x == pytest.approx(3, abs=0.1) and motion_y < 0.1
    # Unfollowed, the brightness would differ by 18 and the colour by 7.
    assert brightness < 1 and colour < 1
    assert effects.tracked.item() > 0.9
    assert effects.motion[0, 0, 32, 32].item() == pytest.approx(3, abs=0.2)


def test_a_change_of_brightness_or_colour_is_no_motion(dis):
    for channel, second in ((2, spots(brightness=8.0)), (3, spots(colour=8.0))):
        cells = measure_effects(dis, spots(), second).cells[0].mean((1, 2))
        expected = torch.zeros(4)
        expected[channel] = 8.0
        assert torch.allclose(cells, expected, atol=0.01)


def test_motion_within_the_dead_zone_counts_as_none(dis):
    assert not measure_effects(dis, spots(), spots(shift=0.25)).cells[0, :2].any()
    inner = measure_effects(dis, spots(), spots(shift=0.75)).cells[0, 0, 2:6, 2:6]
    assert inner.mean().item() == pytest.approx(0.75, abs=0.1)


def test_the_order_of_a_pair_turns_the_signs_alone(dis):
    first, second = spots(), spots(shift=2, brightness=5.0)
    there, back = measure_effects(dis, first, second), measure_effects(dis, second, first)
    assert torch.equal(there.cells, back.cells) and torch.equal(there.tracked, back.tracked)
    assert torch.equal(there.signed, -back.signed)


def test_signs_give_the_way(dis):
    effects = measure_effects(dis, spots(), spots(shift=-3, brightness=-8.0, colour=8.0))
    assert effects.signed.shape == (1, 5, 8, 8)
    inner = effects.signed[0, :, 2:6, 2:6].mean((1, 2)).tolist()
    assert inner == pytest.approx([-3, 0, -8, 8, 0], abs=0.2)


def test_content_that_is_not_found_again_is_lost():
    def there_and_farther(first, second):
        return np.full((*first.shape, 2), 8.0, dtype=np.float32)  # both ways to the same side

    effects = measure_effects(there_and_farther, spots(), spots(shift=9))
    assert not effects.tracked.any() and not effects.found.any() and not effects.cells.any()


def test_warp_reads_between_the_pixels():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0], flow[:, 1] = 0.5, 1.0
    expected = torch.tensor([[4.5, 5.5, 6.5, 7.0], [8.5, 9.5, 10.5, 11.0], [8.5, 9.5, 10.5, 11.0]])
    assert torch.allclose(warp(image, flow)[0, 0], expected, atol=1e-5)
