"""The image sheet: its colours, its rows, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("cv2")

from comfyui_cldis.imaging.sheet import BACKGROUND
from comfyui_cldis.tracking import TrackingSettings, axis_vectors, measure, track_renderer
from comfyui_cldis.tracking.oracle import SceneGenerator
from comfyui_cldis.tracking.sheet import (
    heat_colours,
    motion_colours,
    tracking_sheet,
    tracking_sheet_size,
)


@pytest.fixture(scope="module")
def scored():
    """Wall hue, position across, and a dead code."""
    mixing = torch.zeros(3, 5)
    mixing[0, 0] = mixing[1, 2] = 1.0
    generator = SceneGenerator(mixing, num_bases=2, size=32)
    return measure(generator, axis_vectors(3), TrackingSettings())


def test_motion_is_hue_and_stillness_is_white():
    motion = torch.zeros(2, 1, 4)
    motion[:, 0, 1] = torch.tensor([3.0, 0.0])  # right: red
    motion[:, 0, 2] = torch.tensor([-3.0, 0.0])  # left: cyan
    motion[:, 0, 3] = torch.tensor([9.0, 0.0])  # no stronger than full
    colours = motion_colours(motion, full=3.0)[:, 0].T.tolist()
    assert colours[0] == [1, 1, 1]
    assert colours[1] == pytest.approx([1, 0, 0], abs=1e-6) and colours[3] == colours[1]
    assert colours[2] == pytest.approx([0, 1, 1], abs=1e-6)


def test_heat_goes_from_paper_to_dark():
    colours = heat_colours(torch.tensor([[0.0, 5.0, 10.0, 99.0]]), full=10.0)
    lightness = colours.sum(0)[0].tolist()
    assert colours[:, 0, 0].tolist() == [1, 1, 1]
    assert lightness[0] > lightness[1] > lightness[2] == lightness[3]


def test_a_row_for_each_active_direction(scored):
    assert scored.num_active == 2
    sheet = tracking_sheet(scored)
    tile, gap = 96, 8  # five frames and three maps of 32 pixels, three times as large
    assert 8 * (tile + gap) < sheet.width < 8 * (tile + gap) + 300
    width, height = tracking_sheet_size(2, 32)
    assert sheet.height == height and sheet.width <= width
    dead_only = replace(scored, directions=scored.directions[2:])
    assert sheet.height - tracking_sheet(dead_only).height == tile + gap


@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 32)])
def test_images_that_are_not_square_keep_their_shape(height, width):
    def render(codes):
        grey = (codes[:, :1] / 4).clamp(-0.5, 0.5)
        return grey[:, :, None, None].expand(-1, 3, height, width)

    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(2, 2, generator=generator)
    sheet = tracking_sheet(track_renderer(render, codes, TrackingSettings(num_bases=2)))
    side, gap, margin = 96, 8, 20
    left = sheet.width - margin - side - 3 * (side + gap)  # of the last frame, before three maps
    top = margin + 21  # below the labels of the columns
    tile = np.asarray(sheet.crop((left, top, left + side, top + side)), dtype=int)
    along = tile if height < width else tile.swapaxes(0, 1)
    assert np.abs(along[:10] - BACKGROUND).max() <= 2  # 16 rows above the image
    assert np.abs(along[30:66] - along[48, 48]).max() <= 2  # which goes from edge to edge
    assert np.abs(along[48, 48] - BACKGROUND).max() > 20


def test_a_score_without_images_has_no_sheet(scored):
    rows = tuple(replace(row, evidence=None) for row in scored.directions)
    with pytest.raises(ValueError, match="holds no images"):
        tracking_sheet(replace(scored, directions=rows))
