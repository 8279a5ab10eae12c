"""What an edit changes: colours in place, content that moves, and what appears."""

from __future__ import annotations

import pytest
import torch

from comfyui_cldis.lifting import fill, find_change, find_difference
from comfyui_cldis.lifting.colour import fit_colour, solve


def test_an_affine_change_of_colours_is_found(smooth_noise) -> None:
    before = smooth_noise(0)
    gain = torch.tensor([[0.8, 0.1, 0], [0, 0.9, -0.1], [0.05, 0, 0.7]])
    after = torch.einsum("ij,bjhw->bihw", gain, before) + 0.1
    found = fit_colour(before, after, radius=3, ridge=1e-6)
    torch.testing.assert_close(found.apply(before), after, atol=2e-3, rtol=0)
    centre = found.gain[0, :, :, 32, 32] + torch.eye(3)
    torch.testing.assert_close(centre, gain, atol=0.02, rtol=0)


def test_no_change_is_found_between_equal_images(smooth_noise) -> None:
    image = smooth_noise(1)
    found = find_change(torch.stack([image] * 3, dim=1))
    for each in (found.flow, found.colour.gain, found.colour.offset, found.added, found.appeared):
        assert not each.any()


def test_colours_that_change_in_place_move_nothing(smooth_noise) -> None:
    before = smooth_noise(2)
    after = before * torch.tensor([0.5, 0.8, 1.0]).view(1, 3, 1, 1) - 0.2
    found = find_change(torch.stack([before, (before + after) / 2, after], dim=1))
    assert float(found.flow.abs().max()) < 1e-3
    assert float((found.colour.apply(before) - after).abs().mean()) < 0.02
    assert not found.appeared.any()


def test_content_that_moves_is_followed(smooth_noise, shifted) -> None:
    before = smooth_noise(3)
    frames = torch.stack([shifted(before, step, 0) for step in (0, 2, 4)], dim=1)
    found = find_change(frames)
    inner = found.flow[0, :, 10:-10, 10:-10] * 64
    assert float((inner[0] + 4).abs().median()) < 0.3
    assert float(inner[1].abs().median()) < 0.3


def test_what_appears_is_drawn(smooth_noise) -> None:
    before = torch.zeros(1, 3, 64, 64)
    after = before.clone()
    after[..., 20:40, 20:40] = smooth_noise(4)[..., 20:40, 20:40].sign() * 0.8
    found = find_change(torch.stack([before, after], dim=1))
    assert float(found.appeared[0, 0, 24:36, 24:36].min()) > 0.9
    assert not found.appeared[..., :8, :].any()
    assert float(found.added[..., 24:36, 24:36].abs().mean()) > 0.1


def test_fill_makes_the_small_result_the_target(smooth_noise) -> None:
    before, target = smooth_noise(5, side=32), smooth_noise(6, side=32)
    found = fill(find_difference(before, target), before, target)
    assert found.added.shape == (1, 3, 32, 32) and bool((found.appeared == 1).all())
    again = fill(found, before, target)
    torch.testing.assert_close(again.added, found.added)


def test_a_batch_equals_its_items(smooth_noise, shifted) -> None:
    first = torch.stack([smooth_noise(7), shifted(smooth_noise(7), 2, 0)], dim=1)
    second = torch.stack([smooth_noise(8), smooth_noise(8) * 0.6], dim=1)
    together = find_change(torch.cat([first, second]))
    for index, frames in enumerate((first, second)):
        alone = find_change(frames)
        torch.testing.assert_close(together.item(index).flow, alone.flow, atol=1e-5, rtol=1e-3)
        torch.testing.assert_close(
            together.item(index).colour.gain, alone.colour.gain, atol=1e-3, rtol=1e-2
        )


@pytest.mark.parametrize("shape", [(1, 1, 3, 8, 8), (2, 3, 8, 8), (0, 2, 3, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="The frames have shape"):
        find_change(torch.zeros(shape))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="The frames hold NaN or infinite values"):
        find_change(torch.full((1, 2, 3, 8, 8), float("nan")))


@pytest.mark.parametrize("side", [16, 32, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_grey(side: int, channels: int) -> None:
    frames = torch.rand(2, 3, channels, side, side) * 2 - 1
    found = find_change(frames)
    assert found.flow.shape == (2, 2, 64, 64) and found.added.shape == (2, channels, 64, 64)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_solution_is_that_of_lapack(channels: int) -> None:
    generator = torch.Generator().manual_seed(channels)
    colours = 0.5 * torch.randn(2, channels, 1, 4, 5, generator=generator)
    ridge = 1.2e-3 * torch.eye(channels)[:, :, None, None]
    matrix = colours * colours.transpose(1, 2) + ridge  # of a window of one colour
    right = torch.randn(2, channels, 3, 4, 5, generator=generator)
    kept = matrix.clone(), right.clone()
    expected = torch.linalg.solve(
        *(each.double().permute(0, 3, 4, 1, 2) for each in (matrix, right))
    ).permute(0, 3, 4, 1, 2)
    error = (solve(matrix, right) - expected).norm() / expected.norm()
    assert float(error) < 1e-4
    assert torch.equal(matrix, kept[0]) and torch.equal(right, kept[1])
