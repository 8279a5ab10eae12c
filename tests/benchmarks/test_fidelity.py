"""PSNR and SSIM inside and outside of a region."""

import math

import pytest
import torch

from benchmarks.fidelity import LARGEST, fidelity


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def left_half(images: torch.Tensor) -> torch.Tensor:
    region = torch.zeros(len(images), 1, *images.shape[2:])
    region[..., : images.shape[3] // 2] = 1
    return region


def test_psnr_of_known_errors():
    truth = noise(2, 3, 16, 32) / 2
    images = truth.clone()
    images[..., :16] += 0.1  # 20 dB
    images[..., 16:] += 0.01  # 40 dB
    found = fidelity(images, truth, left_half(truth))
    assert found.psnr_inside == pytest.approx(20, abs=1e-3)
    assert found.psnr_outside == pytest.approx(40, abs=1e-3)
    assert found.psnr == pytest.approx(-10 * math.log10((0.01 + 0.0001) / 2), abs=1e-3)


def test_psnr_is_the_mean_of_the_images_own():
    truth = torch.zeros(2, 1, 16, 16)
    images = torch.stack([torch.full((1, 16, 16), 0.1), torch.full((1, 16, 16), 0.01)])
    assert fidelity(images, truth, left_half(truth)).psnr == pytest.approx(30, abs=1e-3)


def test_the_truth_itself():
    truth = noise(3, 3, 20, 24)
    found = fidelity(truth, truth, left_half(truth))
    assert (found.psnr, found.psnr_inside, found.psnr_outside) == (LARGEST,) * 3
    ssim = (found.ssim, found.ssim_inside, found.ssim_outside)
    assert ssim == pytest.approx((1, 1, 1), abs=1e-6)


def test_ssim_by_hand():
    """Of two flat images a and b: (2ab + c) / (a^2 + b^2 + c) with c = .01^2."""
    truth, images = torch.full((1, 3, 16, 16), 0.4), torch.full((1, 3, 16, 16), 0.6)
    wanted = (2 * 0.24 + 1e-4) / (0.16 + 0.36 + 1e-4)
    assert fidelity(images, truth, left_half(truth)).ssim == pytest.approx(wanted, abs=1e-4)


def test_ssim_tells_where_the_structure_differs():
    truth = noise(2, 3, 32, 64)
    images = truth.clone()
    images[..., :32] = noise(2, 3, 32, 32, seed=1)
    found = fidelity(images, truth, left_half(truth))
    assert found.ssim_inside < 0.3 < 0.9 < found.ssim_outside
    assert found.ssim == pytest.approx((found.ssim_inside + found.ssim_outside) / 2, abs=1e-5)


def test_what_half_belongs_to_a_region_counts_half_on_either_side():
    truth, images = torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.1)
    images[..., :4] = 0.2
    region = torch.zeros(1, 1, 16, 16)
    region[..., :4], region[..., 4:8] = 1, 0.5
    inside = (64 * 0.04 + 32 * 0.01) / 96
    found = fidelity(images, truth, region)
    assert found.psnr_inside == pytest.approx(-10 * math.log10(inside), abs=1e-3)
    assert found.psnr_outside == pytest.approx(20, abs=1e-3)


def test_images_without_a_region_do_not_count_there():
    truth = torch.zeros(2, 1, 16, 16)
    images = truth + 0.1
    region = left_half(truth)
    region[0], images[0] = 0, 0.5
    found = fidelity(images, truth, region)
    assert found.psnr_inside == pytest.approx(20, abs=1e-3)
    empty = fidelity(images, truth, torch.zeros_like(region))
    assert math.isnan(empty.psnr_inside) and math.isnan(empty.ssim_inside)
    assert empty.psnr_outside == empty.psnr and empty.ssim_outside == empty.ssim


@pytest.mark.parametrize(
    ("images", "truth", "region", "words"),
    [
        ((1, 3, 16, 16), (1, 3, 16, 17), (1, 1, 16, 17), "The images have shape"),
        ((1, 3, 10, 16), (1, 3, 10, 16), (1, 1, 10, 16), "at least 11 x 11"),
        ((3, 16, 16), (3, 16, 16), (1, 16, 16), r"Give both as \(n, C, H, W\)"),
        ((2, 3, 16, 16), (2, 3, 16, 16), (1, 1, 16, 16), r"Give it as \(2, 1, 16, 16\)"),
        ((2, 3, 16, 16), (2, 3, 16, 16), (2, 3, 16, 16), r"Give it as \(2, 1, 16, 16\)"),
    ],
)
def test_other_shapes_are_refused(images, truth, region, words):
    with pytest.raises(ValueError, match=words):
        fidelity(torch.zeros(images), torch.zeros(truth), torch.zeros(region))
