"""Directions: what they refuse, and how straight and bent ones move a code."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from comfyui_cldis.editing.code_path import CodePath
from comfyui_cldis.editing.direction import Direction, apply_directions
from comfyui_cldis.editing.facts import DirectionQuality

BEND = CodePath((-2.0, 0.0, 1.0), ((2.0, 0.0), (0.0, 0.0), (1.0, 3.0)))


def direction(**values: Any) -> Direction:
    return Direction(
        **({"name": "d", "vector": (1.0, 0.0), "minimum": -2.0, "maximum": 2.0} | values)
    )


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (-4.0, [4.0, 0.0]),  # the first piece, continued
        (-2.0, [2.0, 0.0]),
        (-0.5, [0.5, 0.0]),
        (0.0, [0.0, 0.0]),
        (0.5, [0.5, 1.5]),
        (1.0, [1.0, 3.0]),
        (3.0, [3.0, 9.0]),  # as does the last
    ],
)
def test_a_path_is_straight_between_its_points(amount: float, expected: list[float]) -> None:
    assert BEND.displacement(amount) == pytest.approx(expected)


def test_a_direction_is_shown_without_its_hundreds_of_numbers() -> None:
    shown = repr(direction())
    assert "name='d'" in shown and "minimum=-2.0" in shown and "vector" not in shown


def test_straight_and_bent_directions_add_up_in_raw_units() -> None:
    z, std = torch.tensor([[10.0, 20.0]]), torch.tensor([2.0, 0.5])
    both = (direction(path=BEND), direction(name="e", vector=(0.0, 1.0)))
    moved = apply_directions(z, std, both, {"d": 0.5, "e": -1.0})
    assert moved.tolist() == [[10 + 2 * 0.5, 20 + 0.5 * (1.5 - 1)]]
    assert apply_directions(z, std, both, {"d": 0.0}) is z


@pytest.mark.parametrize(
    ("amounts", "points", "message"),
    [
        ((0.0,), ((0.0,),), "from 2 to 65"),
        ((0.0, 1.0), ((0.0,),), "2 amounts and 1 points"),
        (tuple(map(float, range(66))), ((0.0,),) * 66, "from 2 to 65"),
        ((0.0, 1.0), ((0.0,), (1.0, 2.0)), "differ in length"),
        ((0.0, 1.0), ((), ()), "differ in length"),
        ((0.0, math.inf), ((0.0,), (1.0,)), "not finite"),
        ((0.0, 1.0), ((0.0,), (math.nan,)), "not finite"),
        ((0.0, 0.0), ((0.0,), (0.0,)), "do not rise"),
        ((1.0, 0.0), ((1.0,), (0.0,)), "do not rise"),
        ((1.0, 2.0), ((0.0,), (1.0,)), "pass through its start"),
        ((0.0, 1.0), ((0.1,), (1.0,)), "pass through its start"),
    ],
)
def test_paths_that_are_refused(amounts: Any, points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodePath(amounts, points)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": " "}, "has no name"),
        ({"vector": (1.0, 1.0)}, "has length 1.414"),
        ({"minimum": 0.0}, "must contain 0"),
        (
            {"quality": DirectionQuality(other={"a": math.nan})},
            "'a' of direction 'd' is nan. Give a finite",
        ),
        ({"quality": DirectionQuality(other={"": 1.0})}, "1 to 64 characters"),
        ({"path": CodePath((0.0, 1.0), ((0.0,), (1.0,)))}, "points of 1 numbers, its vector 2"),
        ({"thumbnails": torch.zeros(3, 16, 16, 3)}, "torch.float32 of shape"),
        ({"thumbnails": torch.zeros(3, 16, 17, 3, dtype=torch.uint8)}, "S from 8 to 128"),
        ({"thumbnails": torch.zeros(3, 4, 4, 3, dtype=torch.uint8)}, "S from 8 to 128"),
        ({"thumbnails": torch.zeros(16, 16, 3, dtype=torch.uint8)}, "S from 8 to 128"),
    ],
)
def test_directions_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        direction(**values)


def test_directions_compare_and_hash_whatever_they_hold() -> None:
    image = torch.zeros(3, 8, 8, 3, dtype=torch.uint8)
    one, other = direction(thumbnails=image), direction(thumbnails=image + 1)
    assert one == other and hash(one) == hash(other)
    assert direction(quality=DirectionQuality(other={"a": 1.0})) != direction()
    assert direction(path=BEND) != direction()


def test_a_direction_turned_round_is_its_mirror_image_and_twice_is_the_same():
    images = torch.arange(3 * 8 * 8 * 3).reshape(3, 8, 8, 3).remainder(256).to(torch.uint8)
    path = CodePath((-2, 0, 1), ((-1, 1), (0, 0), (0, 3)))
    direction = Direction(
        "a", (0.6, -0.8), -1.0, 2.0, "less", "more", 0.3, path=path, thumbnails=images
    )
    turned = direction.reversed()
    assert turned.displacement(-1) == direction.displacement(1) == [0, 3]
    assert (turned.minimum, turned.maximum) == (-2.0, 1.0)
    assert (turned.negative_label, turned.positive_label) == ("more", "less")
    assert turned.thumbnails is not None and torch.equal(turned.thumbnails[0], images[2])
    assert turned.reversed() == direction
