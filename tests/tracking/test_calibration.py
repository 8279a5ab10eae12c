"""Steps that make every direction change the image equally much."""

import pytest

from comfyui_cldis.tracking.calibration import find_step


class Curve:
    """A change curve that remembers where it was asked."""

    def __init__(self, curve):
        self.curve, self.asked = curve, []

    def __call__(self, amount):
        self.asked.append(amount)
        return self.curve(amount)


@pytest.mark.parametrize(("slope", "amount"), [(10, 1.0), (25, 0.4), (4, 2.5), (6, 10 / 6)])
def test_a_straight_curve_is_met_exactly(slope, amount):
    curve = Curve(lambda at: slope * at)
    step = find_step(curve, 10.0)
    assert step.is_active and step.amount == pytest.approx(amount) and step.change == 10.0
    assert len(curve.asked) <= 4


def test_a_bent_curve_is_met_closely():
    step = find_step(lambda at: 30 * at**0.5, 10.0)  # exactly at 1 / 9
    assert 30 * step.amount**0.5 == pytest.approx(10, rel=0.05)


def test_a_dead_direction_is_not_active_after_two_calls():
    curve = Curve(lambda at: 0.0)
    assert find_step(curve, 10.0) == (3.0, 0.0, False) and curve.asked == [1.0, 3.0]
    weak = Curve(lambda at: at)  # not dead, but too weak
    assert find_step(weak, 10.0) == (3.0, 3.0, False) and weak.asked == [1.0, 2.0, 3.0]
    assert not find_step(lambda at: 9.99 * at / 3, 10.0).is_active
    assert find_step(lambda at: 10.0 * at / 3, 10.0).is_active


def test_the_first_crossing_counts_where_the_change_falls_again():
    # A hue that walks a circle: 2 sd change more than 3.
    step = find_step(lambda at: {1.0: 5.0, 2.0: 15.0}.get(at, 1.0), 10.0)
    assert step == (1.5, 10.0, True)


def test_a_jump_ends_at_the_smallest_step():
    assert find_step(lambda at: 50.0, 10.0) == (1 / 64, 50.0, True)


def test_a_target_of_nothing_is_refused():
    with pytest.raises(ValueError, match="target change is 0"):
        find_step(lambda at: at, 0)
