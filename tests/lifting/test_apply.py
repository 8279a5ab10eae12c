"""A change applied to originals of every size and kind."""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from comfyui_cldis.lifting import (
    Change,
    Region,
    apply_change,
    find_change,
    find_difference,
    find_replacement,
)
from comfyui_cldis.lifting import apply as apply_module


@pytest.fixture(scope="module")
def moving(smooth_noise, shifted) -> Change:
    """Content moves by 3 of 64 pixels to the right, and darkens."""
    before = smooth_noise(0)
    frames = [shifted(before, step, 0) * (1 - 0.03 * step) for step in (0, 1, 2, 3)]
    return find_change(torch.stack(frames, dim=1))


@pytest.fixture(scope="module")
def image(smooth_noise) -> Tensor:
    """(3, 90, 120) in [0, 1]."""
    return ((smooth_noise(9, cells=20, side=120)[0, :, :90] + 1) / 2).contiguous()


REGION = Region(20, 10, 64, 64)


def test_no_change_gives_every_bit_back(image: Tensor, smooth_noise) -> None:
    small = smooth_noise(1)
    none = find_change(torch.stack([small, small], dim=1))
    levels = (image * 255).to(torch.uint8)
    for each in (image, levels, levels / 255):
        assert torch.equal(apply_change(each, none, REGION), each)


def test_outside_of_the_region_nothing_changes(image: Tensor, moving: Change) -> None:
    for each in (image, (image * 255).to(torch.uint8)):
        before = each.clone()
        changed = (apply_change(each, moving, REGION) != each).any(0)
        assert torch.equal(each, before)
        assert float(changed[14:70, 24:80].float().mean()) > 0.9
        changed[10:74, 20:84] = False
        assert not changed.any()


def test_the_seam_is_soft_inside_of_the_image_and_hard_at_its_edge(
    image: Tensor, smooth_noise
) -> None:
    darker = find_difference(smooth_noise(1), smooth_noise(1) - 0.6)
    result = apply_change(image * 0 + 0.5, darker, Region(0, 20, 64, 64))
    column = result[0, 50, :66]
    assert float(column[0]) < 0.3  # the left edge of the image is no seam
    steps = column[1:] - column[:-1]
    assert float(steps.max()) < 0.1 and float(column[63]) > 0.45


def test_half_strength_moves_half_as_far(smooth_noise, shifted) -> None:
    before = smooth_noise(2)
    frames = torch.stack([shifted(before, step, 0) for step in (0, 2, 4)], dim=1)
    change = find_change(frames)
    pixels = (before[0] + 1) / 2
    whole = Region(0, 0, 64, 64)
    half = apply_change(pixels, change, whole, strength=0.5)
    wanted = (shifted(before, 2, 0)[0] + 1) / 2
    inner = slice(12, -12)
    error = (half - wanted)[:, inner, inner].abs().mean()
    blend = (pixels + (shifted(before, 4, 0)[0] + 1) / 2) / 2  # what a mix would give
    assert float(error) < 0.3 * float((blend - wanted)[:, inner, inner].abs().mean())


def test_a_mask_limits_the_change(image: Tensor, moving: Change) -> None:
    mask = torch.zeros(1, 90, 120)
    mask[:, :40] = 1
    whole, masked = (apply_change(image, moving, REGION, mask=each) for each in (None, mask))
    assert torch.equal(masked[:, 40:], image[:, 40:])
    torch.testing.assert_close(masked[:, :38], whole[:, :38])
    assert torch.equal(apply_change(image, moving, REGION, strength=0), image)


def test_strips_give_what_the_whole_gives(
    image: Tensor, moving: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = apply_change(image, moving, REGION)
    monkeypatch.setattr(apply_module, "STRIP_PIXELS", 300)
    torch.testing.assert_close(apply_change(image, moving, REGION), whole, atol=1e-5, rtol=0)


def test_alpha_moves_with_the_content_and_keeps_its_values(smooth_noise, shifted) -> None:
    before = smooth_noise(3)
    frames = torch.stack([shifted(before, step, 0) * 0.9 for step in (0, 2, 4)], dim=1)
    change = find_change(frames)
    alpha = torch.zeros(1, 64, 64)
    alpha[:, 20:44, 20:40] = 1
    result = apply_change(torch.cat([(before[0] + 1) / 2, alpha]), change, Region(0, 0, 64, 64))[3]
    assert float(result[32, 22]) < 0.2 and float(result[32, 42]) > 0.8


def test_what_is_transparent_lends_no_colour(smooth_noise) -> None:
    small = smooth_noise(3)
    none = find_change(torch.stack([small, small], dim=1))
    change = dataclasses.replace(none, flow=torch.full_like(none.flow, -3.4 / 64))
    alpha = torch.zeros(1, 64, 64)
    alpha[:, 20:44, 20:40] = 1
    cut_out = torch.cat([0.8 * alpha.expand(3, -1, -1), alpha])  # grey on hidden black
    for image in (cut_out, (cut_out * 255).round().to(torch.uint8)):
        result = apply_change(image, change, Region(0, 0, 64, 64))
        full = 1 if image.is_floating_point() else 255
        shown = (result[:3] / full)[:, result[3] > 0.05 * full]
        assert bool(((result[3] > 0.1 * full) & (result[3] < 0.9 * full)).any())
        assert float((shown - 0.8).abs().max()) < 0.02


def test_a_region_may_reach_outside_of_the_image(image: Tensor, moving: Change) -> None:
    """As after "pad"."""
    result = apply_change(image, moving, Region(0, -15, 120, 120))
    assert result.shape == image.shape and float((result - image).abs().mean()) > 0.01
    nowhere = apply_change(image, moving, Region(500, 0, 64, 64))
    assert torch.equal(nowhere, image)


def test_a_replacement_is_what_it_is_replaced_with(smooth_noise) -> None:
    new = smooth_noise(4, side=48)
    pixels = torch.rand(3, 48, 48)
    result = apply_change(pixels, find_replacement(new), Region(0, 0, 48, 48))
    torch.testing.assert_close(result, (new[0] + 1) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 500)])
def test_tiny_and_thin_images(size: tuple[int, int], moving: Change) -> None:
    image = torch.rand(3, *size)
    result = apply_change(image, moving, Region(0, 0, size[1], size[0]))
    assert result.shape == image.shape and bool(torch.isfinite(result).all())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"image": torch.zeros(5, 8, 8)}, "The image has shape"),
        ({"strength": 1.5}, "strength is 1.5"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"mask": torch.ones(1, 3, 3)}, "The mask has shape"),
    ],
)
def test_bad_input(given: dict, sentence: str, moving: Change) -> None:
    arguments = {"image": torch.zeros(3, 8, 8), "change": moving, "region": REGION} | given
    with pytest.raises(ValueError, match=sentence):
        apply_change(**arguments)


MEASURE = """
import resource, torch
from comfyui_cldis.lifting import Region, apply_change, find_change
frames = torch.rand(1, 3, 3, 64, 64)
change = find_change(frames)
image = torch.zeros({channels}, {height}, {width}, dtype=torch.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
side = {side}
apply_change(image, change, Region(({width} - side) // 2, ({height} - side) // 2, side, side))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_SELF"), reason="no measure of memory")
@pytest.mark.parametrize(
    ("height", "width", "side", "most"), [(3000, 4000, 3000, 400), (60, 20000, 20000, 400)]
)
def test_memory_stays_small(height: int, width: int, side: int, most: int) -> None:
    """In MiB beyond the original: 12 megapixels, and a thin strip framed by "pad"."""
    code = MEASURE.format(channels=3, height=height, width=width, side=side)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < most


def test_content_is_not_mirrored_where_motion_fades(image: Tensor, smooth_noise) -> None:
    """A way longer than the band over which it fades, out of each edge in turn."""
    small = smooth_noise(1)
    still = find_change(torch.stack([small, small], dim=1))
    region = Region(100, 100, 200, 200)
    ramp = torch.arange(400.0).expand(3, 400, 400) / 400
    for axis, way in ((0, 0.15), (0, -0.15), (1, 0.15), (1, -0.15)):
        flow = torch.zeros_like(still.flow)
        flow[:, axis] = way
        picture = ramp if axis == 0 else ramp.transpose(1, 2)
        moved = apply_change(picture, dataclasses.replace(still, flow=flow), region)
        steps = moved[0].diff(dim=1 - axis)
        assert float((moved - picture).abs().max()) > 0.07  # content did move
        assert float(steps.min()) > -0.0025  # and stayed in its order, to a pixel


def test_only_the_part_within_changes(image: Tensor, moving: Change) -> None:
    region = Region(20, 0, 90, 90, within=(30, 40, 60, 20))
    result = apply_change(image, moving, region)
    changed = (result != image).any(0)
    assert float(changed[44:56, 36:84].float().mean()) > 0.9
    changed[40:60, 30:90] = False
    assert not changed.any()
    whole = apply_change(image, moving, Region(20, 0, 90, 90))
    torch.testing.assert_close(result[:, 49:51, 58:62], whole[:, 49:51, 58:62])


@pytest.mark.parametrize("thin", [1, 2, 6, 24])
def test_a_thin_part_of_a_padded_square_changes_as_a_wide_one_does(smooth_noise, thin: int) -> None:
    """The square reaches far beyond the part, so that a share of its sides is wider than that."""
    darker = find_difference(smooth_noise(1), smooth_noise(1) - 0.6)
    image = torch.full((3, 512, 512), 0.5)
    top = 256 - thin // 2
    shares = []
    for within in ((16, top, 480, thin), (top, 16, thin, 480), (16, 16, 480, 480)):
        left, first, width, height = within
        result = apply_change(image, darker, Region(16, 16, 480, 480, within=within))
        inside = (slice(None), slice(first, first + height), slice(left, left + width))
        change = (image - result)[inside].mean(0)
        shares.append(float((change > 0.2).float().mean()))
    assert shares[0] > 0.7 * shares[2] and shares[1] > 0.7 * shares[2]


def test_the_seam_of_a_long_part_is_as_soft_across_as_along(smooth_noise) -> None:
    darker = find_difference(smooth_noise(1), smooth_noise(1) - 0.6)
    image = torch.full((3, 512, 512), 0.5)
    region = Region(16, 16, 480, 480, within=(16, 226, 480, 60))
    column = apply_change(image, darker, region)[0, 220:256, 256]
    assert float((column[1:] - column[:-1]).abs().max()) < 0.08
