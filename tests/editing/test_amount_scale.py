"""The scale of a slider: a line with bends, and its way back."""

import pytest

from comfyui_cldis.editing.amount_scale import AmountScale
from comfyui_cldis.editing.direction import Direction

SCALE = AmountScale((-1.0, 0.0, 0.5, 2.0), (-2.0, 0.0, 1.0, 1.5))


def test_between_and_beyond_the_marks():
    distances = {-2.0: -4.0, -1.0: -2.0, -0.5: -1.0, 0.0: 0.0, 0.25: 0.5, 1.25: 1.25, 3.5: 2.0}
    for amount, distance in distances.items():
        assert SCALE.distance(amount) == pytest.approx(distance)
        assert SCALE.amount(distance) == pytest.approx(amount)
    assert SCALE.distance(0.0) == 0.0 == SCALE.amount(0.0)


def test_a_slider_turned_round_does_the_opposite():
    slider = Direction("x", (0.6, 0.8), -1.0, 2.0, scale=SCALE)
    turned = slider.reversed()
    assert (turned.minimum, turned.maximum) == (-2.0, 1.0)
    for amount in (-1.7, -0.3, 0.0, 0.4, 2.0):
        assert turned.displacement(-amount) == pytest.approx(slider.displacement(amount))
    assert slider.displacement(2.0) == pytest.approx([0.9, 1.2])
    assert slider.displacement(0.0) == [0.0, 0.0]
    assert turned.reversed() == slider


@pytest.mark.parametrize(
    ("amounts", "distances", "message"),
    [
        ((0.0,), (0.0,), "2 to 65"),
        ((0.0, 1.0), (0.0,), "2 amounts|1 distances"),
        ((0.0, 0.0), (0.0, 1.0), "amounts of a scale do not rise"),
        ((0.0, 1.0), (0.0, float("nan")), "distances of a scale are not finite"),
        ((-1.0, 0.0, 1.0), (-1.0, 0.5, 1.0), "does not pass through 0"),
        ((1.0, 2.0), (1.0, 2.0), "does not pass through 0"),
    ],
)
def test_wrong_marks_are_refused(amounts, distances, message):
    with pytest.raises(ValueError, match=message):
        AmountScale(amounts, distances)
