"""Pseudo-factors of effects that are mixes of known parts."""

import numpy as np
import pytest

from comfyui_cldis.tracking.pseudo_factors import shares_of_factors, sparsest_rotation
from comfyui_cldis.tracking.scales import channel_scales, channel_shares, scaled


def sparse_parts(count: int = 4, size: int = 60) -> np.ndarray:
    """Effects (count, size) of factors that act in few places, some of them in the same."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, size)) * (rng.random((count, size)) < 0.25)


def rotation(count: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((count, count)))[0]


def as_permutation(components: np.ndarray) -> np.ndarray:
    """1 where a component is the only large one of its row."""
    return (np.abs(components) > 0.97).astype(int)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_mix_of_sparse_parts_is_undone(seed):
    mix = rotation(4, seed)
    found = sparsest_rotation(mix @ sparse_parts(), seed=0)
    assert found @ found.T == pytest.approx(np.eye(4), abs=1e-9)
    hits = as_permutation(found @ mix)  # factors again, in some order and with some signs
    assert hits.sum(axis=0).tolist() == hits.sum(axis=1).tolist() == [1] * 4


def test_shares_are_those_of_the_mix():
    mix = rotation(4, seed=5)
    shares = shares_of_factors(np.eye(4), mix @ sparse_parts(), seed=0)
    order = np.abs(shares.T @ mix).argmax(axis=0)  # which pseudo-factor is which part
    assert np.square(shares[:, order]) == pytest.approx(np.square(mix), abs=0.05)
    assert np.square(shares).sum(axis=0) == pytest.approx(np.ones(4))


def test_order_and_signs_of_the_directions_change_nothing_else():
    effects = rotation(4, seed=7) @ sparse_parts()
    order, signs = [2, 0, 3, 1], np.array([1.0, -1.0, -1.0, 1.0])[:, None]
    first = np.square(shares_of_factors(np.eye(4), effects, seed=0))
    second = np.square(shares_of_factors(signs * np.eye(4)[order], signs * effects[order], seed=0))
    assert second == pytest.approx(first[order], abs=1e-4)


def test_two_directions_that_do_the_same_have_one_pseudo_factor():
    parts = sparse_parts(3)
    shares = shares_of_factors(np.eye(4), parts[[0, 1, 2, 2]], seed=0)
    assert shares.shape == (4, 3)
    assert as_permutation(shares[:2]).sum() == 2
    twins = np.square(shares[2:])
    assert twins[0] == pytest.approx(twins[1]) and twins[0].max() == pytest.approx(0.5, abs=0.02)


def test_oblique_directions_are_taken_apart():
    # The second direction is half of each factor; effects of length-1 steps.
    vectors = np.array([[1.0, 0.0], [0.6, 0.8]])
    parts = sparse_parts(2)
    shares = np.square(shares_of_factors(vectors, vectors @ parts, seed=0))
    assert sorted(shares[0]) == pytest.approx([0, 1], abs=0.05)
    assert sorted(shares[1]) == pytest.approx([0.36, 0.64], abs=0.05)


def test_effects_of_nothing_have_no_pseudo_factors():
    assert shares_of_factors(np.eye(2), np.zeros((2, 8)), seed=0).shape == (2, 0)


def test_channels_count_alike_but_noise_is_not_blown_up():
    cells = np.zeros((2, 4, 2, 2))
    cells[:, 0], cells[:, 1], cells[:, 2] = 3.0, 0.05, 8.0
    scales = channel_scales(cells)
    assert scales.tolist() == [3.0, 0.2, 8.0, 2.0]
    vectors = scaled(cells, scales)
    assert vectors.shape == (2, 16)
    assert vectors[0].tolist() == pytest.approx([1.0] * 4 + [0.25] * 4 + [1.0] * 4 + [0.0] * 4)
    shares = channel_shares(vectors[0])
    assert shares["motion_x"] == pytest.approx(1 / (1 + 0.0625 + 1)) and shares["colour"] == 0


def test_both_colours_of_signed_effects_share_a_scale():
    signed = np.ones((5, 1, 1))
    assert scaled(signed, np.array([1.0, 2.0, 4.0, 5.0])).tolist() == [1, 0.5, 0.25, 0.2, 0.2]
