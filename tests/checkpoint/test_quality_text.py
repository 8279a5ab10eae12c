"""The measured figures in words."""

from comfyui_cldis.checkpoint.quality_text import (
    describe_quality,
    evaluated_on,
    explained,
    explains_nothing,
    weakness,
)
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import DirectionQuality, ModelQuality


def test_figures_are_put_in_words_and_the_misleading_one_comes_last():
    quality = ModelQuality(
        images="seen in training",
        num_images=64,
        num_steps=20,
        explained_variance_code=0.6476,
        explained_variance_random_noise=0.31,
        explained_variance_preview=-0.123,
        psnr_inverted_noise_db=47.31,
    )
    shares = (1.0, 0.9, 0.89, None)
    directions = [
        Direction(str(index), (1.0,), -1, 1, quality=DirectionQuality(monotone=share))
        for index, share in enumerate(shares)
    ]
    lines = describe_quality(quality, directions)
    assert [name for name, _ in lines] == [
        "measured on",
        "code explains",
        "one image drawn from the code explains",
        "co-pilot explains",
        "monotone directions",
        "inverted noise",
    ]
    values = dict(lines)
    assert values["measured on"] == "64 images seen in training"
    assert values["code explains"] == "65 % of how the images differ from their mean"
    assert values["co-pilot explains"].startswith("nothing:") and "-0.12" in lines[3][1]
    assert values["monotone directions"] == "2"
    assert values["inverted noise"].startswith("47.3 dB") and "no sign" in values["inverted noise"]


def test_no_figure_is_lost():
    unmeasured = [Direction("a", (1.0,), -1, 1)]
    assert describe_quality(ModelQuality(), unmeasured) == []
    assert describe_quality(ModelQuality(), []) == [("monotone directions", "0")]
    found = describe_quality(
        ModelQuality(explained_variance_preview=0.5, other={"psnr_db": 12.5, "nested": {}}),
        unmeasured,
    )
    assert found == [
        ("co-pilot explains", "50 % of how the images differ from their mean"),
        ("psnr db", "12.5"),
    ]
    assert explained(0.0).startswith("0 %") and explained(-1e-9).startswith("nothing")
    assert not explains_nothing(0.0) and explains_nothing(-1e-9)


def test_weak_directions():
    assert weakness(0.08, 0.3, 0.95) == weakness(0.08, 0.3, None) == ""
    assert weakness(0.07, 0.3, 1.0) == "weak"
    assert weakness(0.3, 0.3, 0.625) == "not monotone on 38 % of the images"
    assert weakness(0.01, 0.3, 0.0) == "weak, not monotone on 100 % of the images"


def test_what_was_evaluated():
    assert evaluated_on(ModelQuality(images="unseen")) == "unseen images"
    assert evaluated_on(ModelQuality(images="seen in training")) == "images seen in training"
    assert evaluated_on(ModelQuality()) == "images"
