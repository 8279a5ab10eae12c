"""CIELAB against published values."""

import pytest
import torch

from comfyui_cldis.imaging.lab import lab_change, to_lab


@pytest.mark.parametrize(
    ("srgb", "lab"),
    [  # the usual tables for sRGB under D65
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
        ((3, 3, 3), (0.82, 0.0, 0.0)),  # below both straight parts: 903.3 * 3 / 255 / 12.92
    ],
)
def test_known_colours(srgb, lab):
    pixel = torch.tensor(srgb).view(1, 3, 1, 1) / 127.5 - 1
    assert to_lab(pixel).flatten().tolist() == pytest.approx(lab, abs=0.03)


def test_grey_images_and_other_channels():
    grey = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    assert torch.equal(to_lab(grey), to_lab(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match="1 or 3"):
        to_lab(torch.zeros(1, 4, 8, 8))


def test_change_is_a_root_mean_square():
    first, second = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    second[0, :, 0, 0] = torch.tensor([12.0, 3.0, 4.0])  # distance 13 in one of four pixels
    assert lab_change(first, second).tolist() == [6.5, 0.0]
