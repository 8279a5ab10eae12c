"""Some of many items, spread over all of them."""

import pytest

from trainer.data.evenly import evenly


@pytest.mark.parametrize(
    ("count", "most", "indices"),
    [
        (5, 9, [0, 1, 2, 3, 4]),
        (9, 3, [0, 4, 8]),
        (10, 4, [0, 3, 6, 9]),
        (7, 1, [0]),
        (1, 3, [0]),
    ],
)
def test_indices_are_spread_from_the_first_to_the_last(count, most, indices):
    assert evenly(count, most).tolist() == indices


def test_no_index_comes_twice_and_steps_differ_by_one_at_most():
    for count in (64, 65, 127, 1000):
        steps = set((evenly(count, 64)[1:] - evenly(count, 64)[:-1]).tolist())
        assert min(steps) >= 1 and max(steps) - min(steps) <= 1
