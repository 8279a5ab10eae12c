"""What representations draw: held, shared and changed factors, splits, and the codes they give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from comfyui_cldis.metrics import (
    FactorRepresentation,
    NotApplicable,
    Representation,
    coded_images,
    from_arrays,
    sampled_codes,
    tabulated,
)

SIZES = (4, 3, 2)
SOURCES = ("rows", "factors")


@pytest.fixture
def sources(grid: Callable[..., np.ndarray]) -> dict[str, Representation]:
    """Both kinds, with the factors themselves as the first codes; rows end with their number."""
    factors = grid(SIZES, 20)
    number = np.arange(len(factors))[:, None]
    return {
        "rows": from_arrays(np.concatenate([factors, number], axis=1), factors),
        "factors": FactorRepresentation(SIZES, lambda values: values.astype(np.float32)),
    }


@pytest.mark.parametrize("kind", SOURCES)
def test_draws_carry_their_factors(sources: dict[str, Representation], kind: str) -> None:
    source, rng = sources[kind], np.random.default_rng(0)
    assert source.sizes == SIZES
    for data in (source.sample(rng, 600), *source.sample_split(rng, 60, 30)):
        assert data.codes.dtype == np.float64 and data.factors.dtype == np.int64
        np.testing.assert_array_equal(data.codes[:, :3], data.factors)


@pytest.mark.parametrize("kind", SOURCES)
def test_held_factors_are_shared_and_the_others_are_not(
    sources: dict[str, Representation], kind: str
) -> None:
    held = np.array([0, 1, 2, 1, 0, 2, 2] * 30)
    codes = sources[kind].sample_fixed(np.random.default_rng(0), held, 16)
    assert codes.shape[:2] == (len(held), 16)
    spread = np.ptp(codes[..., :3], axis=1)
    for k in range(3):
        assert (spread[held == k, k] == 0).all()
        assert (spread[held != k, k] > 0).mean() > 0.99
        values = codes[held == k][:, 0, k]
        assert set(values) == set(range(SIZES[k]))


@pytest.mark.parametrize("kind", SOURCES)
def test_pairs_share_the_held_factor(sources: dict[str, Representation], kind: str) -> None:
    held = np.array([0, 1, 2] * 20)
    first, second = sources[kind].sample_sharing(np.random.default_rng(0), held, 8)
    same = first[..., :3] == second[..., :3]
    for k in range(3):
        assert same[held == k][..., k].all()
        assert same[held != k][..., k].mean() < 0.7
    if kind == "rows":
        assert (first[..., 3] != second[..., 3]).all()  # never a row with itself


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("factor", range(3))
def test_pairs_differ_in_one_factor_alone(
    sources: dict[str, Representation], kind: str, factor: int
) -> None:
    first, second = sources[kind].sample_changing(np.random.default_rng(0), factor, 110)
    assert 100 <= len(first) <= 110
    differs = first[:, :3] != second[:, :3]
    assert differs[:, factor].all()
    assert not np.delete(differs, factor, axis=1).any()
    if kind == "rows":
        numbers = np.concatenate([first[:, 3], second[:, 3]])
        assert len(set(numbers)) == len(numbers)  # each row at most once


def test_rows_that_hold_too_few_pairs_are_refused(grid: Callable[..., np.ndarray]) -> None:
    factors = grid((2, 2), 30)
    factors[:, 1] = factors[:, 0]
    source = from_arrays(np.ones((len(factors), 2)), factors)
    with pytest.raises(NotApplicable, match="100 pairs of rows that differ in factor 0 alone"):
        source.sample_changing(np.random.default_rng(0), 0, 1000)


def test_pairs_that_are_cut_keep_all_values_of_the_other_factors(
    grid: Callable[..., np.ndarray],
) -> None:
    factors = grid((4, 10, 3), 40)
    source = from_arrays(factors.astype(float), factors)
    first, _ = source.sample_changing(np.random.default_rng(0), 0, 200)
    assert len(first) == 200
    assert np.bincount(first[:, 1].astype(int), minlength=10).min() >= 8  # 20 in the mean
    assert np.bincount(first[:, 2].astype(int), minlength=3).min() >= 40


def test_a_single_factor_changes_between_any_rows(grid: Callable[..., np.ndarray]) -> None:
    factors = grid((4,), 100)
    first, second = from_arrays(factors.astype(float), factors).sample_changing(
        np.random.default_rng(0), 0, 1000
    )
    assert len(first) > 100 and (first != second).all()


def test_the_first_two_thirds_train_and_the_rest_tests(sources: dict[str, Representation]) -> None:
    train, test = sources["rows"].sample_split(np.random.default_rng(0), 5, 5)
    assert train.codes[:, 3].tolist() == list(range(320))
    assert test.codes[:, 3].tolist() == list(range(320, 480))
    train, test = sources["rows"].sample_split(np.random.default_rng(0), 100, 50, cap_rows=True)
    assert train.codes[:, 3].tolist() == list(range(100))
    assert test.codes[:, 3].tolist() == list(range(320, 370))


def test_sorted_rows_are_refused_where_a_split_is_needed() -> None:
    factors = np.stack([np.repeat(np.arange(6), 20), np.tile([0, 1], 60)], axis=1)
    source = from_arrays(factors.astype(float), factors)
    with pytest.raises(ValueError, match=r"factors\[:, 0\] takes 4 values .* 100% .*Shuffle"):
        source.sample_split(np.random.default_rng(0), 10, 10)


def test_factor_values_become_ranks_in_their_order() -> None:
    values = np.tile([-7, 1000, 3], 20)[:, None]
    source = from_arrays(values.astype(float), values)
    assert source.sample(np.random.default_rng(0), 1).factors[:3, 0].tolist() == [0, 2, 1]
    assert source.sizes == (3,)


def test_images_are_drawn_and_encoded_in_batches() -> None:
    seen: list[int] = []

    def images_of(factors: np.ndarray) -> np.ndarray:
        seen.append(len(factors))
        return np.broadcast_to(factors[:, None, :1], (len(factors), 4, 4)).astype(np.uint8)

    codes_of = coded_images(images_of, lambda images: images.mean(axis=(1, 2))[:, None], 100)
    source = FactorRepresentation((5, 2), codes_of)
    data = source.sample(np.random.default_rng(0), 250)
    np.testing.assert_array_equal(data.codes[:, 0], data.factors[:, 0])
    assert seen == [100, 100, 50]


def test_sampled_codes_have_the_posteriors_deviation() -> None:
    def posterior_of(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return factors.astype(float), np.broadcast_to([0.5, 0.0], factors.shape)

    source = FactorRepresentation((3, 3), sampled_codes(posterior_of, 1), "sampled")
    codes, factors = source.sample(np.random.default_rng(0), 4000)
    assert np.std(codes[:, 0] - factors[:, 0]) == pytest.approx(0.5, rel=0.05)
    np.testing.assert_array_equal(codes[:, 1], factors[:, 1])
    assert source.describe()["codes"] == "sampled"


def test_what_one_metric_draws_leaves_the_samples_of_the_next_alone() -> None:
    def posterior_of(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return factors.astype(float), np.ones(factors.shape)

    asked = np.array([[0, 1], [2, 2]])
    fresh, used = sampled_codes(posterior_of, 1), sampled_codes(posterior_of, 1)
    used(asked[::-1])
    np.testing.assert_array_equal(used(asked), fresh(asked))
    assert not np.array_equal(sampled_codes(posterior_of, 2)(asked), fresh(asked))
    assert not np.array_equal(fresh(asked)[0] - asked[0], fresh(asked)[1] - asked[1])


def test_a_table_gives_the_codes_of_the_function() -> None:
    calls: list[int] = []

    def codes_of(factors: np.ndarray) -> np.ndarray:
        calls.append(len(factors))
        return factors @ np.array([[1.0, 0.5], [0.1, 2.0], [7.0, 3.0]])

    looked_up = tabulated(codes_of, SIZES)
    factors = np.random.default_rng(0).integers(0, SIZES, size=(500, 3))
    np.testing.assert_array_equal(looked_up(factors), codes_of(factors))
    assert calls == [24, 500]


@pytest.mark.parametrize(
    ("codes_of", "message"),
    [
        (lambda factors: np.zeros(len(factors)), r"shape \(9,\) for 9 items"),
        (lambda factors: np.zeros((3, 2)), r"shape \(3, 2\) for 9 items"),
        (lambda factors: np.full((len(factors), 2), np.nan), "NaN or infinity"),
    ],
)
def test_bad_encoders_are_named(codes_of: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FactorRepresentation((2, 2), codes_of).sample(np.random.default_rng(0), 9)


@pytest.mark.parametrize("sizes", [(), (3, 1)])
def test_factors_that_do_not_vary_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two values"):
        FactorRepresentation(sizes, lambda factors: factors)
