"""Provisional names: scenes in which exactly one thing changes get the name of that thing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from comfyui_cldis.directions.motion import fit_motions
from comfyui_cldis.directions.naming import describe_change, describe_ends

SIZE = 48
GREY, ORANGE = (0.35, 0.35, 0.4), (0.85, 0.5, 0.2)
BASES = ((-0.1, 0.05, 0.4), (0.1, -0.05, 0.35))  # x, y and radius of two images


def grid() -> tuple[Tensor, Tensor]:
    line = (torch.arange(SIZE) + 0.5) * 2 / SIZE - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


def paint(mask: Tensor, colour: tuple[float, ...], under: Tensor) -> Tensor:
    return under + mask * (torch.tensor(colour)[:, None, None] - under)


def soft(signed_distance: Tensor) -> Tensor:
    """1 inside (negative distances), 0 outside, with an edge of about two pixels."""
    return torch.sigmoid(-signed_distance * SIZE / 2)


def scene(
    base: tuple[float, float, float],
    *,
    right: float = 0.0,
    down: float = 0.0,
    wide: float = 1.0,
    tall: float = 1.0,
    tilt: float = 0.0,
    yaw: float = 0.0,
    pitch: float = 0.0,
    face: tuple[float, ...] = ORANGE,
    back: tuple[float, ...] = GREY,
    spot: float = 0.0,
    light: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """An ellipse with eyes and a mouth that lie on a ball, before a plain wall: (3, S, S)."""
    x, y = grid()
    x, y = x - base[0] - right, y - base[1] - down
    x, y = x * math.cos(tilt) + y * math.sin(tilt), y * math.cos(tilt) - x * math.sin(tilt)
    x, y = x / (base[2] * wide), y / (1.3 * base[2] * tall)
    image = paint(torch.ones(SIZE, SIZE), back, torch.zeros(3, SIZE, SIZE))
    image = paint(soft((x.square() + y.square()).sqrt().sub(1) * base[2]), face, image)
    for angle_x, angle_y, size in ((-0.4, -0.25, 0.13), (0.4, -0.25, 0.13), (0.0, 0.45, 0.2)):
        at_x, at_y = math.sin(angle_x + yaw), math.sin(angle_y + pitch)
        distance = ((x - at_x).square() + (y - at_y).square()).sqrt() - size
        image = paint(soft(distance * base[2]), (0.1, 0.05, 0.1), image)
    corner = soft(((grid()[0] + 0.7).square() + (grid()[1] + 0.7).square()).sqrt() - 0.25)
    across, down_ = grid()
    return (image + spot * corner) * (1 + light[0] * across + light[1] * down_)


def pair(one: dict, other: dict) -> tuple[Tensor, Tensor]:
    """Both ends of a change on two images, (2, 3, S, S) in [-1, 1]."""
    low, high = (torch.stack([scene(base, **each) for base in BASES]) for each in (one, other))
    return low * 2 - 1, high * 2 - 1


SCENES = {
    "right": ({"right": -0.1}, {"right": 0.1}, "horizontal position", "left", "right"),
    "far": ({"right": -0.3}, {"right": 0.3}, "horizontal position", "left", "right"),
    "down": ({"down": -0.1}, {"down": 0.1}, "vertical position", "up", "down"),
    "size": ({"wide": 0.85, "tall": 0.85}, {"wide": 1.1, "tall": 1.1}, "size", "smaller", "larger"),
    "width": ({"wide": 0.85}, {"wide": 1.15}, "width", "narrower", "wider"),
    "height": ({"tall": 0.9}, {"tall": 1.1}, "height", "lower", "taller"),
    "tilt": ({"tilt": -0.25}, {"tilt": 0.25}, "tilt", "tilted left", "tilted right"),
    "yaw": ({"yaw": -0.25}, {"yaw": 0.25}, "turn", "left", "right"),
    "pitch": ({"pitch": -0.2}, {"pitch": 0.2}, "nod", "up", "down"),
    "face light": (
        {"face": (0.7, 0.4, 0.15)},
        {"face": (1.0, 0.65, 0.38)},
        "brightness",
        "darker",
        "brighter",
    ),
    "back light": (
        {"back": (0.2, 0.2, 0.2)},
        {"back": (0.6, 0.6, 0.6)},
        "brightness background",
        "darker",
        "brighter",
    ),
    "spot": ({}, {"spot": 0.4}, "brightness upper left", "darker", "brighter"),
    "side light": (
        {"light": (-0.5, 0)},
        {"light": (0.5, 0)},
        "side light",
        "from left",
        "from right",
    ),
    "top light": (
        {"light": (0, -0.4)},
        {"light": (0, 0.4)},
        "top light",
        "from above",
        "from below",
    ),
    "turning and drifting": (
        {"yaw": -0.25, "right": -0.03},
        {"yaw": 0.25, "right": 0.03},
        "turn",
        "left",
        "right",
    ),
    "turning against its outline": (
        {"yaw": 0.25, "right": -0.015},
        {"yaw": -0.25, "right": 0.015},
        "turn",
        "right",
        "left",
    ),
    "hue": ({"face": (0.8, 0.3, 0.3)}, {"face": (0.3, 0.42, 0.9)}, "hue", "redder", "bluer"),
    "back hue": (
        {"back": (0.5, 0.35, 0.6)},
        {"back": (0.35, 0.5, 0.35)},
        "hue background",
        "more violet",
        "greener",
    ),
    "saturation": (
        {"face": (0.55, 0.55, 0.55)},
        {"face": (0.85, 0.45, 0.4)},
        "saturation",
        "greyer",
        "redder",
    ),
}


@pytest.mark.parametrize("what", SCENES)
def test_one_change_gets_its_name_and_its_ends(what: str) -> None:
    one, other, name, negative, positive = SCENES[what]
    low, high = pair(one, other)
    found = describe_change(low, high)
    assert found.name.startswith(name), found
    assert found[1:] == (negative, positive)


@pytest.mark.parametrize("what", ["size", "spot", "hue", "side light"])
def test_the_other_way_round_only_the_ends_change_places(what: str) -> None:
    low, high = pair(*SCENES[what][:2])
    name, negative, positive = describe_change(low, high)
    assert describe_change(high, low) == (name, positive, negative)


@pytest.mark.parametrize("way", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("plain", [True, False])
def test_a_shift_is_no_turn(way: float, plain: bool) -> None:
    """Neither of a thing with an inside that moves along, nor of a plain disc, which has none."""
    x, y = grid()

    def disc(right: float) -> Tensor:
        walls = paint(torch.ones(SIZE, SIZE), GREY, torch.zeros(3, SIZE, SIZE))
        return paint(soft(((x - right).square() + y.square()).sqrt() - 0.35), ORANGE, walls)

    if plain:
        low, high = (disc(each)[None] * 2 - 1 for each in (-way, way))
    else:
        low, high = pair({"right": -way}, {"right": way})
    found = describe_change(low, high)
    assert found.name.startswith("horizontal position") and found[1:] == ("left", "right")
    _, inside = fit_motions(low, high)
    assert abs(inside.right) > abs(inside.right + inside.turn)


def test_what_moves_is_never_called_the_background() -> None:
    """Something as wide as the image changes most at its edges when it gets wider."""
    low, high = pair({"wide": 1.9, "tall": 1.9}, {"wide": 2.2, "tall": 1.9})
    assert describe_change(low, high).name == "width whole"


def test_inside_and_outline_of_a_turn_are_distinguished() -> None:
    _, still = fit_motions(*pair({"yaw": -0.25}, {"yaw": 0.25}))
    # eyes and mouth on a ball of radius .4 and .35 move by about 2 sin(.25) = .49 of it
    assert still.right + still.turn == pytest.approx(0.49 * 0.375, abs=0.1)
    assert abs(still.right) < 0.06
    _, drifting = fit_motions(*pair({"yaw": -0.25, "right": -0.03}, {"yaw": 0.25, "right": 0.03}))
    assert drifting.right == pytest.approx(0.06, abs=0.03)
    assert drifting.turn > 0.15


@pytest.mark.parametrize("change", [-0.3, 0.3])
def test_a_global_change_of_light_has_no_side(change: float) -> None:
    low, _ = pair({}, {})
    found = describe_change(low, ((low + 1) * (1 + change) - 1).clamp(-1, 1))
    ends = ("darker", "brighter") if change > 0 else ("brighter", "darker")
    assert found.name.startswith("brightness") and found[1:] == ends


def test_a_thing_that_vanishes_here_and_appears_there_is_no_side_light() -> None:
    def panel(column: int) -> Tensor:
        image = torch.full((1, 1, 48, 48), -0.8)
        image[..., 8:40, column : column + 8] = 0.8
        return image

    low, high = panel(4), panel(36)
    assert not describe_change(low, high).name.startswith("side light")
    # the same change of lightness over a texture that stays is light
    texture = 0.5 * torch.randn(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    lit = describe_change((texture + low / 8).clamp(-1, 1), (texture + high / 8).clamp(-1, 1))
    assert lit.name.startswith("side light") and lit[1:] == ("from left", "from right")


def test_a_small_part_that_moves_is_no_turn() -> None:
    x, y = grid()

    def mouth(down: float) -> Tensor:
        face = scene(BASES[0])
        lips = soft(((x / 3).square() + (y - 0.6 - down).square()).sqrt() - 0.06)
        return (paint(lips, (0.6, 0.05, 0.1), face) * 2 - 1)[None]

    assert describe_change(mouth(-0.05), mouth(0.05)) == ("vertical position bottom", "up", "down")


@pytest.mark.parametrize(("shift", "size"), [(0.05, 1.0), (0.4, 1.0), (0.0, 1.2), (0.1, 0.9)])
def test_shift_and_growth_are_measured(shift: float, size: float) -> None:
    low, high = pair({"right": -shift / 2}, {"right": shift / 2, "wide": size, "tall": size})
    whole, _ = fit_motions(low, high)
    assert whole.explained > 0.8
    assert whole.right == pytest.approx(shift, abs=0.03)
    assert whole.wider == pytest.approx(size - 1, abs=0.05)
    assert whole.down == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("what", ["face light", "back light", "hue", "saturation", "spot"])
def test_light_and_colour_are_no_movement(what: str) -> None:
    for motion in fit_motions(*pair(*SCENES[what][:2])):
        assert motion.explained < 0.3


def test_channels_other_than_colour() -> None:
    low, high = pair({"right": -0.1}, {"right": 0.1})
    for change in (lambda t: t[:, :1], lambda t: torch.cat([t, t[:, :1]], 1)):
        assert describe_change(change(low), change(high)).name.startswith("horizontal position")
    assert describe_change(low[:, :1] * 0, low[:, :1] * 0 + 0.5).name == "brightness whole"


def test_no_change_has_a_name_without_ends() -> None:
    still, _ = pair({}, {})
    found = describe_change(still, still)
    assert found.name.startswith("shape") and found[1:] == ("", "")


def test_noise_is_no_movement() -> None:
    generator = torch.Generator().manual_seed(0)
    low, high = torch.rand(2, 3, 3, 32, 32, generator=generator) * 2 - 1
    assert describe_change(low, high).name.split()[0] == "colour"
    assert max(motion.explained for motion in fit_motions(low, high)) < 0.3


def test_the_ends_of_a_shape_name_where_it_gets_lighter() -> None:
    before, after = torch.zeros(2, 1, 40, 40), torch.full((2, 1, 40, 40), -0.2)
    after[..., 10:30, 10:30] = 0.6  # 400 pixels rise by .6, 1200 fall by .2
    assert describe_change(before, after)[1:] == ("edges lighter", "middle lighter")
    after = torch.full((2, 1, 40, 40), -0.3)
    after[..., 20:, :] = 0.3
    assert describe_change(before, after)[1:] == ("top lighter", "bottom lighter")  # an edge is new


def test_ends_without_meaning_are_left_out() -> None:
    assert describe_ends("darker", "brighter") == "darker ... brighter"
    assert describe_ends("one way", "other way") == describe_ends("", "") == ""
