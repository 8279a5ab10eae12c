"""Factor spaces: indices and levels, and draws from them."""

import numpy as np
import pytest

from comfyui_cldis.datasets.space import FactorSpace, sample_combinations, sample_factors

SPACE = FactorSpace(("hue", "size", "place"), (3, 2, 5))


def test_every_index_comes_back_and_the_last_factor_is_fastest():
    indices = np.arange(30)
    levels = SPACE.to_factors(indices)
    assert np.array_equal(SPACE.to_index(levels), indices)
    assert levels[:6].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 0, 4], [0, 1, 0]]
    assert levels[-1].tolist() == [2, 1, 4]
    assert np.array_equal(levels, np.stack(np.unravel_index(indices, SPACE.sizes), axis=1))
    assert (SPACE.num_factors, SPACE.num_combinations) == (3, 30)


def test_large_grids_do_not_overflow():
    space = FactorSpace(tuple("abcdefghijk"), (10,) * 11)
    last = np.full((1, 11), 9)
    assert space.to_index(last).tolist() == [10**11 - 1]
    assert space.to_factors(np.array([10**11 - 1])).tolist() == last.tolist()
    assert space.to_index(last.astype(np.uint8)).tolist() == [10**11 - 1]


def test_no_rows_are_fine():
    assert SPACE.to_index(np.zeros((0, 3), dtype=int)).shape == (0,)
    assert SPACE.to_factors(np.zeros(0, dtype=int)).shape == (0, 3)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (np.zeros((2, 4), dtype=int), r"Give \(n, 3\) whole numbers, .* hue, size, place"),
        (np.zeros(3, dtype=int), r"Give \(n, 3\)"),
        (np.zeros((2, 3)), "type float64"),
        (np.array([[0, 0, 0], [2, 2, 0]]), "size is 2 in row 1. Use 0 to 1"),
        (np.array([[-1, 0, 0]]), "hue is -1 in row 0. Use 0 to 2"),
    ],
)
def test_levels_that_do_not_fit_are_named(factors, message):
    with pytest.raises(ValueError, match=message):
        SPACE.to_index(factors)


@pytest.mark.parametrize("indices", [np.array([30]), np.array([-1]), np.array([0.0]), np.array(3)])
def test_indices_that_do_not_fit_are_refused(indices):
    with pytest.raises(ValueError, match="The indices (go|have)"):
        SPACE.to_factors(indices)


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ((), ()),
        (("a",), (0,)),
        (("a", "b"), (2,)),
        (("a", "a"), (2, 2)),
        (("a", "b"), (2**40,) * 2),
    ],
)
def test_spaces_that_make_no_sense_are_refused(names, sizes):
    with pytest.raises(ValueError, match="^(The factors|There are 1.21e)"):
        FactorSpace(names, sizes)


def test_draws_are_uniform_independent_and_seeded():
    drawn = sample_factors(SPACE, 30_000, np.random.default_rng(0))
    assert drawn.dtype == np.int64
    counts = np.bincount(SPACE.to_index(drawn), minlength=30)
    # 1000 are expected in each of the 30 cells, with a standard deviation of 31.
    assert np.abs(counts - 1000).max() < 4 * 31.1
    assert np.array_equal(drawn, sample_factors(SPACE, 30_000, np.random.default_rng(0)))
    generator = np.random.default_rng(0)
    first, second = (sample_factors(SPACE, 50, generator) for _ in range(2))
    assert not np.array_equal(first, second)


def test_combinations_are_drawn_once_each():
    drawn = sample_combinations(SPACE, 30, np.random.default_rng(1))
    indices = SPACE.to_index(drawn)
    assert sorted(indices.tolist()) == list(range(30))
    assert indices.tolist() != list(range(30))


def test_wrong_numbers_of_draws_are_refused():
    with pytest.raises(ValueError, match="num_samples is 31, and each of the 30"):
        sample_combinations(SPACE, 31, np.random.default_rng(0))
    with pytest.raises(ValueError, match="num_samples is -1"):
        sample_factors(SPACE, -1, np.random.default_rng(0))
