"""Facts of a model: read strictly, nothing lost, unknown keys given back."""

import pytest

from comfyui_cldis.editing.direction import Direction, count_monotone
from comfyui_cldis.editing.facts import DirectionQuality, ModelFacts, ModelQuality, TrainingFacts

STORED = {
    "name": "heads 64",
    "training": {"steps": 0, "hours": 2, "config": {"loop": {}}, "notes": "by hand"},
    "quality": {"pictures": "unseen", "num_images": 256, "psnr_inverted_noise_db": 47.95, "new": 1},
    "navigation": {"finder": "ica"},
    "of a later version": [1, {"a": None}],
}


def test_facts_are_read_and_given_back_with_what_is_not_known():
    facts = ModelFacts.from_dict(STORED, "the facts")
    assert facts.training == TrainingFacts(
        steps=0, hours=2, config={"loop": {}}, other={"notes": "by hand"}
    )
    assert facts.quality == ModelQuality(
        images="unseen", num_images=256, psnr_inverted_noise_db=47.95, other={"new": 1}
    )
    assert facts.other == {"of a later version": [1, {"a": None}]} and facts.licence == ""
    assert facts.to_dict() == STORED
    assert list(facts.to_dict()) == list(STORED)


def test_what_is_not_known_is_not_written():
    assert ModelFacts().to_dict() == {} and DirectionQuality().to_dict() == {}
    assert DirectionQuality(monotone=0.0).to_dict() == {"monotone": 0.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": None}, "'name' of the facts is 'None', not a text"),
        ({"navigation": 7}, "'navigation' of the facts is '7', not a JSON object"),
        ({"training": 7}, "'training' of the facts is '7', not a JSON object"),
        ({"training": {"seed": 0.5}}, "'seed' of 'training' of the facts is '0.5', not a whole"),
        ({"training": {"hours": True}}, "'hours' of .* is 'True', not a finite number"),
        ({"training": {"hours": 10**400}}, "'hours' of .* not a finite number"),
    ],
)
def test_a_known_key_with_another_kind_of_value_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ModelFacts.from_dict(values, "the facts")


@pytest.mark.parametrize(
    ("shares", "count"), [((), 0), ((None,), None), ((0.9, 0.89, None), 1), ((0.5,), 0)]
)
def test_monotone_directions_are_counted(shares, count):
    directions = [
        Direction(str(index), (1.0,), -1, 1, quality=DirectionQuality(monotone=share))
        for index, share in enumerate(shares)
    ]
    assert count_monotone(directions) == count
