"""Names of sliders go over to the file that an export writes anew, or are listed as lost."""

import math
from dataclasses import replace

import pytest

from comfyui_cldis.checkpoint.slider_names import renamed
from comfyui_cldis.editing.direction import Direction
from trainer.slider_names import TOLERANCE, take_over

AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
NEW = (
    Direction("size", AXES[0], -2, 3, "smaller", "larger", 0.5),
    Direction("hue", AXES[1], -1, 1, "redder", "greener", 0.25),
)


def names(directions):
    return [each.name for each in directions]


def test_names_in_the_file_go_over_where_the_model_is_the_same():
    """Also ends, and a slider that was turned round: what was saved with it means the same."""
    turned = replace(NEW[0].reversed(), name="face", negative_label="wide", positive_label="narrow")
    before = (turned, NEW[1])
    found, lost = take_over(before, NEW[::-1], is_same_model=True)
    assert names(found) == ["hue", "face"] and lost == ()
    assert found[1] == replace(turned, effect=0.5)
    assert found[1].vector == (-1.0, 0.0, 0.0) and (found[1].minimum, found[1].maximum) == (-3, 2)
    # after more training the names found describe the model better, but the sense stays
    found, lost = take_over(before, NEW, is_same_model=False)
    assert names(found) == ["size", "hue"] and lost == ("face",)
    assert found[0].vector == (-1.0, 0.0, 0.0) and found[0].positive_label == "smaller"


@pytest.mark.parametrize("is_same_model", [True, False])
@pytest.mark.parametrize("is_flipped", [True, False])
def test_names_beside_the_file_go_over_to_the_same_direction(is_same_model, is_flipped):
    before = renamed(NEW, "size", "my face", ("a", "b"), is_flipped=is_flipped)
    now = (replace(NEW[0], name="width"), NEW[1])
    found, lost = take_over(before, now, is_same_model=is_same_model)
    assert names(found) == ["my face", "hue"] and lost == ()
    assert (found[0].negative_label, found[0].positive_label) == ("a", "b")
    assert found[0].vector == before[0].vector and found[0].is_flipped == is_flipped
    # in the file it is called as before, or by what it does by now
    assert found[0].file_name == ("size" if is_same_model else "width")
    assert found[0].as_in_file().vector == AXES[0]


def test_a_name_does_not_go_over_to_another_direction():
    """Although the file calls it as the one that had the name."""
    before = renamed(NEW, "size", "my face")
    now = (replace(NEW[0], vector=AXES[2]), NEW[1])
    found, lost = take_over(before, now, is_same_model=False)
    assert names(found) == ["size", "hue"] and not found[0].file_name
    assert lost == ("my face",)
    found, lost = take_over(NEW, now, is_same_model=False)
    assert lost == ("size",)  # there is one of that name, which is not that slider


def test_two_sliders_never_get_one_name():
    before = (replace(NEW[0], name="hue"),)
    found, lost = take_over(before, NEW, is_same_model=True)
    assert names(found) == ["hue", "hue 2"] and lost == ()
    before = renamed(before, "hue", "tilt")
    now = (NEW[0], replace(NEW[1], name="tilt"))
    found, lost = take_over(before, now, is_same_model=False)
    assert names(found) == ["size", "tilt"] and lost == ("tilt",)


def test_a_slider_is_not_turned_round_under_its_own_name():
    before = renamed(NEW, "size", "width", is_flipped=True)
    now = (replace(NEW[0], name="width"), NEW[1])
    found, lost = take_over(before, now, is_same_model=False)
    assert found == now and lost == ("width",)


@pytest.mark.parametrize(("angle", "is_same"), [(0.5 * TOLERANCE, True), (2 * TOLERANCE, False)])
def test_directions_are_the_same_within_rounding(angle, is_same):
    before = renamed(NEW, "size", "mine")
    near = replace(NEW[0], vector=(math.cos(angle), math.sin(angle), 0.0))
    found, lost = take_over(before, (near,), is_same_model=False)
    assert (names(found) == ["mine"]) == is_same
    assert lost == (("hue",) if is_same else ("mine", "hue"))
    assert take_over((), NEW, is_same_model=False) == (NEW, ())
