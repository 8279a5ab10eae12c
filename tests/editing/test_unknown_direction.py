"""A slider by its name: what is said where a model has none of that name, or none at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality, TrainingFacts
from comfyui_cldis.editing.verdict import no_sliders_text

NAMES = ("skin", "hair colour", "mouth")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Skin", "skin"),
        ("skinn", "skin"),
        ("haircolour", "hair colour"),
        ("hair color", "hair colour"),
        ("HAIR", "hair colour"),
    ],
)
def test_a_mistyped_slider_names_the_nearest(tiny_model, typed, meant):
    axis = (1.0, 0.0, 0.0, 0.0)
    model = replace(tiny_model, directions=tuple(Direction(each, axis, -1, 1) for each in NAMES))
    for find in (model.direction, model.slider):
        with pytest.raises(ValueError) as error:
            find(typed)
        assert str(error.value) == (
            f"Direction '{typed}' is not in 'tiny', which has: skin, hair colour, mouth. "
            f"Did you mean '{meant}'?"
        )


@pytest.mark.parametrize("typed", ["", "smile"])
def test_a_name_that_is_like_none_gets_the_list(tiny_model, typed):
    nameless = replace(tiny_model, facts=replace(tiny_model.facts, name=""))
    for model, owner in ((tiny_model, "'tiny'"), (nameless, "the model")):
        with pytest.raises(ValueError) as error:
            model.direction(typed)
        said = f"Direction '{typed}' is not in {owner}. It has: hair length, yaw."
        assert str(error.value) == said


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (
            ModelFacts(training=TrainingFacts(config={"loop": {"copilot_only": True}})),
            "only the co-pilot was trained. For sliders, train a new run with "
            "loop.copilot_only off.",
        ),
        (
            ModelFacts(quality=ModelQuality(explained_variance_code=0.03)),
            "the images do not follow the code yet: the code explains only 3 % of what differs "
            "between the images. Train longer.",
        ),
        (
            ModelFacts(other={"imported": {"file": "last.ckpt"}}),
            "no directions were looked for since the model was imported. Find some with "
            "the trainer: cldis navigate.",
        ),
    ],
)
def test_a_model_without_sliders_says_why_and_what_to_do(tiny_model, facts, why):
    model = replace(tiny_model, directions=(), facts=replace(facts, name="tiny 32"))
    with pytest.raises(ValueError) as error:
        model.direction("axis")
    assert str(error.value) == f"Direction 'axis' is not in 'tiny 32', which has none, as {why}"
    fact, remedy = why.split(". ")
    text = no_sliders_text(model)
    assert text == f"{fact[0].upper()}{fact[1:]}, so there are no sliders. {remedy}"
