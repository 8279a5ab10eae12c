"""Codes whose scores are known by hand: oracle, duplicate, turned by 45 degrees, dead, noise.

Grids are balanced, so that independence holds exactly and not only on average.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from comfyui_cldis.metrics import evaluate, from_arrays
from comfyui_cldis.metrics.dci import disentanglement
from comfyui_cldis.metrics.discrete import entropies, histogram_bins, mutual_information
from comfyui_cldis.metrics.factor_vae import vote_accuracy
from comfyui_cldis.metrics.infomec import concentration
from comfyui_cldis.metrics.modularity import modularity_of
from comfyui_cldis.metrics.omes import association, omes_of

Grid = Callable[..., np.ndarray]
Centred = Callable[[np.ndarray], np.ndarray]
TURN = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)


def test_the_oracle_code_scores_one(grid: Grid, centred: Centred) -> None:
    factors = grid((4, 3, 3), 20)
    scores = evaluate(from_arrays(centred(factors), factors), fast=True)
    exact = ("factor_vae", "mig", "dmig", "modularity", "irs", "beta_vae", "dci_informativeness")
    for key in exact:
        assert scores[key] == pytest.approx(1, abs=1e-9), key
    for key in ("dci_disentanglement", "dci_completeness", "infom", "infoc", "explicitness"):
        assert scores[key] > 0.98, key
    assert scores["infoe"] > 0.9
    assert scores["omes"] > 0.9  # 240 pairs: the correlations of 0 come out as .03 on average
    assert scores["active_dims"] == 3
    assert scores["skipped"] == {}


def test_sap_of_two_valued_factors_is_what_chance_leaves(grid: Grid, centred: Centred) -> None:
    # The right dimension is always right, the other half of the time.
    factors = grid((2, 2), 300)
    scores = evaluate(from_arrays(centred(factors), factors), ["sap"])
    assert scores["sap"] == pytest.approx(0.5, abs=0.05)


def test_a_duplicated_code_has_no_gap_but_is_modular(grid: Grid, centred: Centred) -> None:
    factors = grid((4, 3), 20)
    codes = np.tile(centred(factors), 2)
    metrics = ["mig", "dmig", "sap", "modularity", "factor_vae", "infom", "irs"]
    scores = evaluate(
        from_arrays(codes, factors), ["infomec" if m == "infom" else m for m in metrics], fast=True
    )
    assert scores["mig"] == scores["dmig"] == scores["sap"] == 0
    for key in ("modularity", "factor_vae", "irs"):
        assert scores[key] == pytest.approx(1, abs=1e-9), key
    assert scores["infom"] > 0.99
    # Two of four dimensions share each factor: (1/2 - 1/4) / (1 - 1/4).
    assert scores["infoc"] == pytest.approx(1 / 3, abs=0.02)


def test_a_code_turned_by_45_degrees(grid: Grid, centred: Centred) -> None:
    factors = grid((2, 2), 200)
    scores = evaluate(from_arrays(centred(factors) @ TURN, factors), fast=True)
    assert scores["mig"] == pytest.approx(0, abs=1e-9)
    assert scores["modularity"] == pytest.approx(0, abs=1e-9)
    # A held factor leaves half of the largest deviation.
    assert scores["irs"] == pytest.approx(0.5, abs=1e-9)
    # 1,000 votes between two equally good dimensions.
    assert scores["factor_vae"] == pytest.approx(0.5, abs=0.06)
    assert scores["beta_vae"] == pytest.approx(0.5, abs=0.06)
    # All associations are 1, so half of each row and column is out of place.
    assert scores["omes"] == pytest.approx(0.5, abs=0.05)
    assert scores["infom"] == pytest.approx(0, abs=0.05)
    assert scores["infoc"] == pytest.approx(0, abs=0.05)
    # A linear classifier turns the code back.
    assert scores["explicitness"] == pytest.approx(1, abs=1e-9)
    assert scores["dci_informativeness"] == 1
    assert scores["dci_disentanglement"] < 0.2


def test_information_of_a_sum_of_two_coins(grid: Grid) -> None:
    factors = grid((2, 2), 50)
    # The sum leaves one bit open half of the time.
    information = mutual_information(histogram_bins(factors.sum(axis=1, keepdims=True)), factors)
    np.testing.assert_allclose(information, np.log(2) / 2, rtol=1e-12)


def test_factors_of_many_values_take_memory_of_the_rows_only(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 3000, (6000, 2))
    tables, bincount = [], np.bincount

    def counted(values: np.ndarray) -> np.ndarray:
        tables.append(bincount(values))
        return tables[-1]

    monkeypatch.setattr(np, "bincount", counted)
    found = mutual_information(columns, columns)
    assert max(map(len, tables)) <= 6000  # and not 9 million
    np.testing.assert_allclose(np.diag(found), entropies(columns), rtol=1e-12)
    pairs = bincount(columns[:, 0] * 3000 + columns[:, 1])
    share = pairs[pairs > 0] / 6000
    joint = -np.sum(share * np.log(share))
    assert found[0, 1] == found[1, 0] == pytest.approx(entropies(columns).sum() - joint, rel=1e-12)


def test_dead_dimensions_count_only_where_the_definition_counts_them(
    grid: Grid, centred: Centred
) -> None:
    factors = grid((4, 3), 50)
    straight = centred(factors)
    constant = np.full((len(factors), 1), 0.3)
    quiet = 0.04 * centred(factors[:, [0]])  # below .05: not active, though it tells of factor 0
    codes = np.concatenate([straight, constant, quiet], axis=1)
    scores = evaluate(
        from_arrays(codes, factors), ["active_dims", "factor_vae", "modularity", "infomec", "omes"]
    )
    assert scores["active_dims"] == 2
    assert scores["factor_vae"] == 1
    assert scores["modularity"] == pytest.approx(3 / 4, abs=1e-9)  # the constant counts 0
    assert scores["infom"] > 0.99 and scores["infoc"] > 0.99
    assert scores["omes"] > 0.9


def test_a_collapsed_code_scores_nothing(grid: Grid) -> None:
    factors = grid((2, 2), 50)
    scores = evaluate(from_arrays(np.ones((len(factors), 3)), factors), fast=True)
    zero = ("factor_vae", "mig", "dmig", "sap", "modularity", "irs", "infom", "infoe", "infoc")
    for key in (*zero, "omes", "active_dims", "dci_disentanglement", "dci_completeness"):
        assert scores[key] == pytest.approx(0, abs=1e-9), key
    assert scores["explicitness"] == pytest.approx(0.5)
    assert scores["dci_informativeness"] == pytest.approx(0.5, abs=0.1)


def test_noise_scores_chance(grid: Grid) -> None:
    factors = grid((2, 2), 500)
    noise = np.random.default_rng(5).random((len(factors), 4))  # IRS: 99 % of the range remain
    scores = evaluate(from_arrays(noise, factors), fast=True)
    for key in ("mig", "dmig", "sap", "infoe", "irs"):
        assert scores[key] == pytest.approx(0, abs=0.08), key
    for key in ("factor_vae", "beta_vae", "explicitness", "dci_informativeness"):
        assert scores[key] == pytest.approx(0.5, abs=0.08), key


def test_dmig_forgives_the_dependence_of_factors() -> None:
    # The second coin repeats the first three times out of four.
    table = [(0, 0)] * 30 + [(0, 1)] * 10 + [(1, 0)] * 10 + [(1, 1)] * 30
    factors = np.array(table)
    scores = evaluate(from_arrays(factors.astype(float), factors), ["mig", "dmig"])
    conditional = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert scores["mig"] == pytest.approx(conditional / np.log(2), abs=1e-12)
    assert scores["dmig"] == pytest.approx(1, abs=1e-12)


def test_dmig_is_mig_when_the_runner_up_belongs_to_no_factor(grid: Grid) -> None:
    factors = grid((2, 2), 50)
    half = np.where(np.arange(len(factors)) % 4 == 0, 1 - factors[:, 0], factors[:, 0])
    codes = np.stack([factors[:, 0], factors[:, 1], half], axis=1)
    scores = evaluate(from_arrays(codes, factors), ["mig", "dmig"])
    assert 0.5 < scores["mig"] < 0.99
    assert scores["dmig"] == pytest.approx(scores["mig"], abs=0.01)


@pytest.mark.parametrize(
    ("importance", "d", "c"),
    [
        (np.eye(3), 1, 1),
        (np.ones((2, 2)), 0, 0),
        (np.zeros((2, 2)), 0, 0),
        # Two dimensions for one factor each: D stays 1; C is 1 - ln 2 / ln 4.
        (np.array([[0.5, 0], [0.5, 0], [0, 0.5], [0, 0.5]]), 1, 0.5),
        # Row 1 of weight 3/4 is pure, row 2 of weight 1/4 is even.
        (np.array([[1.5, 0], [0.25, 0.25]]), 0.75, 1 - (1.75 * 0.591673 + 0.25 * 0) / 2),
    ],
)
def test_dci_formulas(importance: np.ndarray, d: float, c: float) -> None:
    assert disentanglement(importance) == pytest.approx(d, abs=1e-6)
    assert disentanglement(importance.T) == pytest.approx(c, abs=1e-6)


def test_votes_are_counted_against_the_majority_of_training() -> None:
    train = np.array([[8, 2], [1, 9]])
    test = np.array([[3, 1], [4, 2]])  # right: 3 of dimension 0, 2 of dimension 1
    assert vote_accuracy(train, test) == pytest.approx(0.5)


def test_modularity_formula() -> None:
    # Row 1: 1 - (.04) / (1 * 2); row 2 tells of nothing.
    information = np.array([[1, 0.2, 0], [0, 0, 0]])
    assert modularity_of(information) == pytest.approx(0.98 / 2)


def test_concentration_formula() -> None:
    assert concentration(np.array([[1.0, 0], [0.5, 0.5]])) == pytest.approx(0.5)
    assert concentration(np.array([[1.0, 0], [0, 0]])) == pytest.approx(0.5)  # nothing counts 0


def test_omes_formula() -> None:
    assert omes_of(np.eye(3)) == pytest.approx(1)
    assert omes_of(np.zeros((2, 2))) == 0
    assert omes_of(np.zeros((0, 2))) == 0
    # One dimension for both of two factors: overlap 1/2, multiple encoding 1.
    assert omes_of(np.array([[1.0, 1.0]])) == pytest.approx(0.75)
    assert omes_of(np.array([[1.0, 1.0]]), alpha=1) == pytest.approx(0.5)


def test_association_is_one_minus_correlation_cut_at_zero() -> None:
    first = np.array([[1.0, 1, 1, 5], [2, -1, 2, 5], [3, 1, 3, 5], [4, -1, 4, 5]])
    second = first.copy()
    second[:, 1] *= -1  # a two-valued factor that always changes
    second[:, 2] = [2, 4, 1, 3]  # correlation with 1, 2, 3, 4: 0
    np.testing.assert_allclose(association(first, second), [0, 1, 1, 0], atol=1e-12)


def test_bins_are_equally_wide_and_closed_at_the_top() -> None:
    values = np.array([[0.0], [0.049], [0.051], [0.5], [0.999], [1.0]])
    assert histogram_bins(values)[:, 0].tolist() == [0, 0, 1, 10, 19, 19]
    rounding = np.array([[1.0], [1.0 + 2e-16], [1.0]])
    assert histogram_bins(rounding)[:, 0].tolist() == [0, 0, 0]
    assert entropies(np.array([[0], [1], [2], [3]]))[0] == pytest.approx(np.log(4))
