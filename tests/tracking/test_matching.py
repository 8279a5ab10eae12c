"""Pseudo-factors that are shuffled and turned round on every base find each other again."""

import sys

import numpy as np
import pytest

pytest.importorskip("scipy")

from comfyui_cldis.tracking.matching import mean_shares


def shuffled(bases=5, count=4, noise=0.1):
    """Descriptions of the same factors in another order with other signs, and their shares."""
    rng = np.random.default_rng(0)
    factors, share = rng.standard_normal((count, 8)), np.eye(count)
    for _ in range(bases):
        order, signs = rng.permutation(count), rng.choice([-1.0, 1.0], count)
        noisy = factors + noise * rng.standard_normal(factors.shape)
        yield (noisy * signs[:, None])[order], share[:, order]


def test_the_same_factors_in_any_order_and_sign_are_matched():
    descriptions, shares = zip(*shuffled(), strict=True)
    mean = mean_shares(descriptions, shares)
    # One factor for each direction: a permutation, not the mean of many.
    assert np.sort(mean, axis=1).tolist() == [[0, 0, 0, 1]] * 4
    assert mean.sum(axis=0) == pytest.approx(np.ones(4))


def test_what_a_direction_does_must_be_the_same_on_all_bases():
    """Pure on each base, but another factor on the second."""
    first, second = np.eye(2), np.eye(2)[::-1]
    found = mean_shares([np.eye(2), np.eye(2)], [first, second])
    assert found.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_a_factor_that_a_base_lacks_counts_as_none():
    found = mean_shares(
        [np.eye(3), np.eye(3)[[2, 0]], np.zeros((0, 3))],
        [np.eye(3), np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]), np.zeros((3, 0))],
    )
    assert found == pytest.approx(np.diag([2 / 3, 1 / 3, 2 / 3]))


def test_no_factors_at_all_and_factors_without_any_description():
    assert mean_shares([np.zeros((0, 3))] * 2, [np.zeros((4, 0))] * 2).shape == (4, 0)
    assert mean_shares([np.zeros((2, 3))] * 2, [np.eye(2)] * 2).sum() == pytest.approx(2)


def test_without_scipy_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ModuleNotFoundError, match="SciPy.*pip install scipy"):
        mean_shares([np.eye(2)], [np.eye(2)])
