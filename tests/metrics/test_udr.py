"""UDR on codes whose score is known by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from comfyui_cldis.metrics.udr import similarity, udr, udr_pair


@pytest.fixture
def factors() -> np.ndarray:
    """Five exactly uncorrelated dimensions in ranks, 4,000 rows."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((4000, 5))


def test_similarity_is_the_rank_correlation(factors):
    first = factors[:, :3].round(1)  # with ties
    second = np.exp(factors[:, 1:4] + 0.5 * factors[:, :3])
    expected = np.abs(spearmanr(first, second).statistic[:3, 3:])
    assert similarity(first, second) == pytest.approx(expected, abs=1e-12)


def test_the_same_code_in_another_order_and_sign_scores_near_one(factors):
    other = -2 * factors[:, [3, 0, 4, 1, 2]] ** 3
    # Chance correlations of independent dimensions (about .013 each) add to the sums.
    assert udr_pair(factors, other) == pytest.approx(1, abs=0.08)


def test_by_hand():
    # R = [[1, .6], [.6, 1]]: each best match is 1, each sum 1.6, so 1 / 1.6 in every place.
    first = np.array([[0, 1], [1, 0], [2, 3], [3, 2.0]])
    assert similarity(first, first)[0, 1] == pytest.approx(0.6)
    assert udr_pair(first, first) == pytest.approx(1 / 1.6)


def test_a_rotation_scores_lower_and_dead_dimensions_do_not_count(factors):
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    same = udr_pair(factors, factors)
    assert udr_pair(factors, factors @ rotation) < 0.5 * same
    padded = np.concatenate([factors, np.zeros((4000, 3)), 1e-3 * factors[:, :1]], axis=1)
    assert udr_pair(padded, factors) == udr_pair(factors, padded) == same
    assert udr_pair(padded, padded) == same
    assert udr_pair(np.zeros((10, 2)), np.zeros((10, 2))) == 0
    assert udr_pair(factors, 1e-3 * factors) == udr_pair(1e-3 * factors, factors) == 0


def test_it_is_the_formula_on_the_informative_dimensions_alone():
    rng = np.random.default_rng(2)
    base = rng.standard_normal((200, 3))
    faint = 0.04 * base[:, :2]  # below .05, and yet ordered as an informative dimension is
    first = np.concatenate([base, faint], axis=1)
    second = np.concatenate([faint, base[:, 1:] + 0.7 * rng.standard_normal((200, 2))], axis=1)

    def share(rows: list[int], column: int, order: int) -> float:
        found = []
        for row in rows:
            a, b = (row, column) if order == 0 else (column, row)
            found.append(abs(spearmanr(first[:, a], second[:, b]).statistic))
        return max(found) ** 2 / sum(found)

    terms = [share([0, 1, 2], b, 0) for b in (2, 3)] + [share([2, 3], a, 1) for a in (0, 1, 2)]
    assert udr_pair(first, second) == pytest.approx(sum(terms) / 5, abs=1e-12)


def test_each_training_gets_the_median_of_its_pairs(factors):
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    codes = [factors, -factors, factors[:, ::-1], factors @ rotation]
    scores = udr(codes)
    pairs = sorted(udr_pair(codes[0], other) for other in codes[1:])
    assert scores[0] == pytest.approx(pairs[1])
    assert scores[3] == min(scores)


def test_refusals(factors):
    with pytest.raises(ValueError, match="same n"):
        udr_pair(factors, factors[:10])
    with pytest.raises(ValueError, match="two or more"):
        udr([factors])
