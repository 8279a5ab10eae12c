"""Easings run from 0 to 1 without turning back."""

import pytest

from comfyui_cldis.editing.easing import EASINGS, eased


@pytest.mark.parametrize("easing", EASINGS)
def test_an_easing_rises_from_end_to_end_and_is_symmetric(easing):
    found = [eased(step / 16, easing) for step in range(17)]
    assert found[0] == 0 and found[8] == 0.5 and found[16] == 1
    assert all(a < b for a, b in zip(found, found[1:], strict=False))
    assert [1 - each for each in reversed(found)] == pytest.approx(found)


def test_smooth_starts_slowly():
    assert eased(0.1, "smooth") < 0.05 < eased(0.1, "linear")
    with pytest.raises(ValueError, match="easing is 'bounce'. Use one of linear, smooth"):
        eased(0.5, "bounce")
