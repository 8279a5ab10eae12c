"""Axes as directions, and their provisional names."""

import torch

from comfyui_cldis.editing.axes import find_axes
from comfyui_cldis.editing.naming import describe_change, describe_ends
from comfyui_cldis.editing.pipeline import encode


def test_axes_are_ordered_live_and_ranged(tiny_model):
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    latent = encode(tiny_model, images, inversion_steps=3)
    found = find_axes(tiny_model, latent, num_steps=3, smallest_effect=0.0)
    assert len(found) == 4 and len({direction.name for direction in found}) == 4
    effects = [direction.effect for direction in found]
    assert effects == sorted(effects, reverse=True)
    for direction in found:
        assert sum(direction.vector) == 1.0 and -4 <= direction.minimum < 0 < direction.maximum <= 4
    middle = (effects[1] + effects[2]) / 2
    assert len(find_axes(tiny_model, latent, num_steps=3, smallest_effect=middle)) == 2
    assert find_axes(tiny_model, latent, num_steps=3, smallest_effect=2.0) == ()


def test_names_follow_what_changes():
    base = torch.zeros(3, 3, 30, 30)
    lamp = base.clone()
    lamp[..., :10, :10] += 0.5
    assert describe_change(base, lamp) == ("brightness upper left", "darker", "brighter")
    assert describe_change(lamp, base) == ("brightness upper left", "brighter", "darker")
    red = base.clone()
    red[:, 0] += 0.4
    red[:, 1] -= 0.2
    name, _, positive = describe_change(base, red)
    assert name == "colour whole" and positive == "redder"
    moved_from, moved_to = base.clone(), base.clone()
    moved_from[..., 12:18, 10:14] = 1
    moved_to[..., 12:18, 15:19] = 1
    assert describe_change(moved_from, moved_to).name == "shape centre"
    assert describe_change(moved_from, moved_to)[1:] == ("left lighter", "right lighter")
    assert describe_change(moved_to, moved_from)[1:] == ("right lighter", "left lighter")


def test_the_ends_of_a_shape_say_where_it_gets_lighter():
    before, after = torch.zeros(2, 1, 40, 40), torch.full((2, 1, 40, 40), -0.2)
    after[..., 10:30, 10:30] = 0.6  # 400 pixels rise by .6, 1200 fall by .2
    assert describe_change(before, after)[1:] == ("edges lighter", "middle lighter")
    after = torch.full((2, 1, 40, 40), -0.3)
    after[..., 20:, :] = 0.3
    assert describe_change(before, after)[1:] == ("top lighter", "bottom lighter")
    # lightness rises and falls in a pattern that favours no place
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(10, 10)[None, None]
    assert describe_change(-board, board) == ("shape whole", "", "")


def test_ends_that_say_nothing_are_left_out():
    assert describe_ends("darker", "brighter") == "darker ... brighter"
    assert describe_ends("one way", "other way") == describe_ends("", "") == ""
