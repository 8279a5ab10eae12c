"""Position-free features of an ellipse that is moved, scaled, turned and recoloured."""

from __future__ import annotations

import math

import pytest
import torch

from comfyui_cldis.tracking.features import FEATURES, effect_features

SIZE = 64
GREY = (50.0, 0.0, 0.0)
RED = (60.0, 40.0, 20.0)


def grid() -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return columns.float(), rows.float()


def ellipse(x=30.0, y=34.0, scale=1.0, degrees=0.0, colour=RED) -> torch.Tensor:
    """CIELAB (1, 3, SIZE, SIZE) of an ellipse twice as wide as high, before grey; soft edges."""
    columns, rows = grid()
    across, down, turn = columns - x, rows - y, math.radians(degrees)
    along = math.cos(turn) * across + math.sin(turn) * down
    aside = math.cos(turn) * down - math.sin(turn) * across
    inside = torch.sigmoid(4 * scale * (8 - torch.hypot(along / scale / 1.5, aside / scale / 0.75)))
    colours = torch.tensor([GREY, colour])[:, :, None, None]
    return colours[:1] + inside * (colours[1:] - colours[:1])


def still() -> torch.Tensor:
    return torch.zeros(1, 2, SIZE, SIZE)


def linear(a: float, b: float, c: float, d: float) -> torch.Tensor:
    """Motion (a x + b y, c x + d y) about the ellipse's centre, where the ellipse is."""
    columns, rows = grid()
    x, y = columns - 30, rows - 34
    here = (ellipse()[:, :1] - GREY[0]) > 5
    return torch.stack([a * x + b * y, c * x + d * y])[None] * here


def changed(second: torch.Tensor, motion: torch.Tensor) -> dict[str, float]:
    """The features that are not about 0: a tenth of a pixel, half a percent, half a unit."""
    (row,) = effect_features(ellipse(), second, motion, -motion)
    least = [0.1 / SIZE] * 2 + [0.005] * 5 + [0.5] * 3
    named = zip(FEATURES, row.tolist(), least, strict=True)
    return {name: value for name, value, floor in named if abs(value) > floor}


def test_a_translation_changes_the_centre_alone():
    here = (ellipse()[:, :1] - GREY[0]) > 5
    motion = torch.tensor([5.0, -3.0])[:, None, None] * here
    assert changed(ellipse(x=35, y=31), motion) == pytest.approx(
        {"centre_x": 5 / SIZE, "centre_y": -3 / SIZE}, rel=1e-3
    )


def test_a_scaling_changes_area_and_divergence_alone():
    assert changed(ellipse(scale=1.2), linear(0.2, 0, 0, 0.2)) == pytest.approx(
        {"log_area": 2 * math.log(1.2), "divergence": 0.4}, rel=0.03
    )


def test_a_rotation_changes_the_moments_and_the_curl_alone():
    turn = math.radians(20)
    motion = linear(math.cos(turn) - 1, -math.sin(turn), math.sin(turn), math.cos(turn) - 1)
    found = changed(ellipse(degrees=20), motion)
    # What a turn does to the linear field is a curl of 2 sin and a divergence of 2 cos - 2.
    assert found.pop("divergence") == pytest.approx(2 * math.cos(turn) - 2, rel=1e-3)
    # Half-axes of 2 to 1: a stretch of 3/5, which the turn leads by twice its angle into "cross".
    assert found == pytest.approx(
        {
            "stretch": 0.6 * (math.cos(2 * turn) - 1),
            "cross": 0.6 * math.sin(2 * turn),
            "curl": 2 * math.sin(turn),
        },
        rel=0.02,
    )


def test_a_small_rotation_changes_the_cross_moment_and_the_curl_alone():
    turn = math.radians(3)
    motion = linear(0, -math.sin(turn), math.sin(turn), 0)
    assert changed(ellipse(degrees=3), motion).keys() == {"cross", "curl"}


def test_a_recolouring_changes_the_colour_alone():
    found = changed(ellipse(colour=(70.0, 10.0, -20.0)), still())
    assert found == pytest.approx({"L": 10.0, "a": -30.0, "b": -40.0}, rel=0.04)


def test_the_features_do_not_depend_on_where_the_content_lies():
    here = effect_features(
        ellipse(), ellipse(scale=1.1, degrees=10, colour=(70, 30, 0)), still(), still()
    )
    away = effect_features(
        ellipse(x=20, y=40),
        ellipse(x=20, y=40, scale=1.1, degrees=10, colour=(70, 30, 0)),
        still(),
        still(),
    )
    assert away[0].tolist() == pytest.approx(here[0].tolist(), abs=2e-3)


def test_the_opposite_pair_has_the_opposite_features():
    first, second = ellipse(), ellipse(x=33, scale=1.2, colour=(40, 40, 20))
    there, back = linear(0.2, -0.1, 0.1, 0.2), linear(-0.2, 0.1, -0.1, -0.1)
    features = effect_features(first, second, there, back)
    assert torch.allclose(effect_features(second, first, back, there), -features, atol=1e-5)


def test_an_image_of_one_colour_has_finite_features():
    flat = torch.tensor(GREY)[None, :, None, None].expand(1, 3, SIZE, SIZE)
    assert effect_features(flat, flat, still(), still()).tolist() == [[0] * len(FEATURES)]
    assert torch.isfinite(effect_features(flat, ellipse(), still(), still())).all()
