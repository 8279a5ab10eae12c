"""The formulas against numbers worked out by hand or by other libraries."""

import numpy as np
import pytest

from comfyui_cldis.tracking import formulas


def test_importance_of_perfect_and_of_useless_directions():
    perfect = formulas.importance(np.eye(4) * 3)
    assert perfect.purity == pytest.approx(1) and perfect.compactness == pytest.approx(1)
    assert perfect.matrix.tolist() == np.eye(4).tolist()
    useless = formulas.importance(np.ones((3, 5)))
    assert useless.purity == pytest.approx(0) and useless.compactness == pytest.approx(0)
    assert formulas.importance(np.zeros((2, 2))).purity == 0


def test_importance_by_hand():
    # Squares: [[4, 0], [4, 9]]; columns divided by 8 and 9: [[1/2, 0], [1/2, 1]].
    found = formulas.importance(np.array([[2.0, 0.0], [-2.0, 3.0]]))
    assert found.matrix.tolist() == [[0.5, 0.0], [0.5, 1.0]]
    second = 1 + (1 / 3 * np.log2(1 / 3) + 2 / 3 * np.log2(2 / 3))  # rows: (1, 0), (1/3, 2/3)
    assert found.row_purity.tolist() == pytest.approx([1.0, second])
    assert found.purity == pytest.approx((0.5 * 1 + 1.5 * second) / 2)
    assert found.compactness == pytest.approx(0.5)  # columns: (1/2, 1/2) gives 0, (0, 1) gives 1


def test_directions_that_share_one_pseudo_factor_are_pure_but_not_compact():
    found = formulas.importance(np.array([[1.0], [1.0]]))
    assert found.purity == pytest.approx(1) and found.compactness == pytest.approx(0)


def test_similarity_and_distinctness():
    effects = np.array([[[2.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.5]] * 2])
    cosines = formulas.similarities(effects)
    half = 0.5**0.5
    assert cosines == pytest.approx(np.array([[0, half, 0], [half, 0, half], [0, half, 0]]))
    assert formulas.distinctness(cosines) == pytest.approx(1 - half)


def test_consistency_is_the_mean_of_the_pairs():
    effects = np.random.default_rng(0).random((5, 7))
    unit = effects / np.linalg.norm(effects, axis=1, keepdims=True)
    pairs = [unit[a] @ unit[b] for a in range(5) for b in range(5) if a != b]
    assert formulas.consistency(effects) == pytest.approx(np.mean(pairs))
    # On a base where nothing happens there is nothing alike.
    assert formulas.consistency(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])) == pytest.approx(
        1 / 3
    )
    assert formulas.consistency(effects[:1]) is None


@pytest.mark.parametrize("values", [[0, 1, 4, 5, 9], [0, 3, 3, 1, 2], [5, 4, 3, 2, 1]])
def test_rank_correlation_is_that_of_scipy(values):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.spearmanr(range(5), values).statistic
    assert formulas.rank_correlation(np.array(values, float)) == pytest.approx(expected)


def test_rank_correlation_of_equal_values_is_none():
    assert formulas.rank_correlation(np.zeros(5)) == 0


def test_separation_is_a_geometric_mean():
    assert formulas.separation(0.5, 0.25, 1.0) == pytest.approx(0.5)
    assert formulas.separation(1.0, 0.0, 1.0) == 0
