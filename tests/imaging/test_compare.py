"""Two images in one: where each of them is, and that they are not changed."""

import pytest
import torch

from comfyui_cldis.imaging.compare import GAIN, difference, side_by_side, split_view


def pair(height=40, width=60, batch=2):
    images = torch.rand(2, batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    return images[0] * 0.8, images[1] * 0.8


def test_small_images_stand_side_by_side_as_they_are():
    before, after = pair()
    found = side_by_side(before, after)
    assert found.shape == (2, 3, 40, 122)
    assert torch.equal(found[..., :60], before) and torch.equal(found[..., -60:], after)
    assert bool((found[..., 60:62] == 1).all())


def test_larger_ones_have_their_names_in_a_corner():
    before, after = pair(200, 300, 1)
    copy = before.clone()
    found = side_by_side(before, after)
    assert torch.equal(before, copy)
    changed = (found[..., :300] != before).any(1)[0]
    assert changed.any() and not changed[:150].any() and not changed[:, 150:].any()
    assert not torch.equal(changed, (found[..., -300:] != after).any(1)[0])  # another word


def test_a_split_shows_each_on_its_side():
    before, after = pair(40, 600)
    found = split_view(before, after, 0.25)
    assert torch.equal(found[..., :149], before[..., :149])
    assert bool((found[..., 149:151] == 1).all())
    assert torch.equal(found[..., 151:], after[..., 151:])
    assert torch.equal(split_view(before, after, 0), after)
    assert torch.equal(split_view(before, after, 1), before)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="split is .* from 0 to 1"):
            split_view(before, after, share)


def test_a_difference_is_black_where_nothing_changed():
    before, after = pair()
    after[:, :, :20] = before[:, :, :20]
    after[:, 0, 30] = before[:, 0, 30] + 0.1
    found = difference(before, after)
    assert bool((found[:, :, :20] == 0).all()) and float(found.max()) <= 1
    assert torch.allclose(found[:, 0, 30], torch.tensor(0.1 * GAIN), atol=1e-5)
    assert torch.equal(found, difference(after, before))
