"""Purity and compactness of made-up effects, by both versions of the score."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from comfyui_cldis.tracking.separation import Effect, Separation, separate

COUNT, BASES, CELLS = 4, 6, 40


def factors() -> tuple[np.ndarray, np.ndarray]:
    """Cells (B, COUNT, CELLS) that a factor changes, others on each base; features (COUNT, 10)."""
    rng = np.random.default_rng(0)
    cells = rng.standard_normal((BASES, COUNT, CELLS)) * (rng.random((BASES, COUNT, CELLS)) < 0.2)
    return cells, np.eye(COUNT, 10)


def evaluated(mixes: np.ndarray, version: int) -> Separation:
    """Directions that are the given mixes (B, COUNT, COUNT) of the factors on each base."""
    cells, features = factors()
    signed = np.einsum("bnk,bkf->nbf", mixes, cells)
    effect = Effect(
        vectors=np.eye(COUNT),
        widths=np.full(COUNT, 2.0),
        cells=np.abs(signed),
        signed=signed,
        features=np.einsum("bnk,kf->nbf", mixes, features),
    )
    return separate(effect, version, seed=0)


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((COUNT, COUNT)))[0]


@pytest.mark.parametrize("version", [1, 2])
def test_directions_that_are_the_factors_are_pure(version):
    order = np.eye(COUNT)[[2, 0, 3, 1]] * [[1], [-1], [1], [-1]]
    found = evaluated(np.stack([order] * BASES), version)
    assert found.purity == pytest.approx(1, abs=0.02)
    assert found.compactness == pytest.approx(1, abs=0.02)
    assert found.row_purity == pytest.approx(np.ones(COUNT), abs=0.02)


def test_a_direction_must_mean_the_same_on_all_bases():
    """Each base has the factors as its directions, but in an order of its own."""
    rng = np.random.default_rng(1)
    shuffled = np.stack([np.eye(COUNT)[rng.permutation(COUNT)] for _ in range(BASES)])
    assert evaluated(shuffled, 1).purity == pytest.approx(1, abs=0.02)
    assert evaluated(shuffled, 2).purity < 0.4
    assert evaluated(shuffled, 2).compactness < 0.4


@pytest.mark.parametrize("version", [1, 2])
def test_the_same_mix_everywhere_has_the_shares_of_the_mix(version):
    mix = rotation(3)
    found = evaluated(np.stack([mix] * BASES), version)
    ideal = evaluated(np.stack([np.eye(COUNT)] * BASES), version)
    assert found.purity < 0.6 * ideal.purity
    squares = np.square(mix)
    entropy = -(squares * np.log(squares)).sum(axis=1) / np.log(COUNT)
    assert np.sort(found.row_purity) == pytest.approx(np.sort(1 - entropy), abs=0.05)


def test_versions_compare_effects_alike():
    mixes = np.stack([rotation(seed) for seed in range(BASES)])
    assert (evaluated(mixes, 1).cosines == evaluated(mixes, 2).cosines).all()


def test_without_features_and_cells_nothing_is_pure():
    silent = Effect(np.eye(2), np.ones(2), *np.zeros((3, 2, BASES, 10)))
    assert separate(silent, 2, 0).purity == 0 and separate(silent, 2, 0).compactness == 0
