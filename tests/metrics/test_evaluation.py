"""The table of metrics: names, keys, settings, seeds, progress, controls, and what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import pytest

from comfyui_cldis.metrics import (
    METRICS,
    ArrayRepresentation,
    FactorRepresentation,
    controls,
    evaluate,
    from_arrays,
    oracle,
    random_rotation,
)

CHEAP = ["mig", "modularity", "irs", "omes", "active_dims"]


@pytest.fixture
def rows(grid: Callable[..., np.ndarray]) -> ArrayRepresentation:
    factors = grid((3, 2), 120)
    noise = np.random.default_rng(1).standard_normal((len(factors), 3))
    return from_arrays(factors @ np.array([[1.0, 0.3, 0], [0, 1, 0]]) + 0.2 * noise, factors)


def test_the_result_is_flat_json_with_its_settings(rows: ArrayRepresentation) -> None:
    result = evaluate(rows, seed=3, fast=True)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    keys = [key for metric in METRICS.values() for key in metric.keys]
    assert len(keys) == len(set(keys))
    assert set(result) == {*keys, "protocol", "seed", "settings", "representation", "skipped"}
    assert all(0 <= result[key] <= 1 for key in keys if key not in ("active_dims", "omes_pairs"))
    assert (result["protocol"], result["seed"]) == ("fast", 3)
    assert result["settings"]["dci"]["num_train"] == 2_000
    assert result["representation"] == {
        "source": "rows",
        "codes": "given",
        "num_rows": 720,
        "num_codes": 3,
        "factor_sizes": [3, 2],
    }


def test_the_full_settings_are_those_of_the_study() -> None:
    settings = {name: metric.full for name, metric in METRICS.items()}
    votes = settings["factor_vae"]
    assert (votes.num_variance, votes.num_train, votes.num_test) == (10_000, 10_000, 5_000)
    assert (votes.batch_size, votes.min_sd) == (64, 0.05)
    points = settings["beta_vae"]
    assert (points.num_train, points.num_test, points.batch_size) == (10_000, 5_000, 64)
    for name in ("dci", "sap", "explicitness"):
        assert (settings[name].num_train, settings[name].num_test) == (10_000, 5_000)
        assert not settings[name].cap_rows
    assert (settings["dci"].num_trees, settings["dci"].learning_rate) == (100, 0.1)
    for name in ("mig", "dmig", "modularity", "irs"):
        assert (settings[name].num_train, settings[name].num_bins) == (10_000, 20)
    assert evaluate(from_rows(), ["mig"])["protocol"] == "full"


def from_rows() -> ArrayRepresentation:
    factors = np.tile([[0, 1], [1, 0], [1, 1], [0, 0]], (15, 1))
    return from_arrays(factors.astype(float), factors)


def test_values_depend_on_the_seed_but_not_on_the_company(rows: ArrayRepresentation) -> None:
    together = evaluate(rows, ["factor_vae", "omes", "beta_vae"], fast=True)
    alone = evaluate(rows, ["beta_vae"], fast=True)
    assert alone["beta_vae"] == together["beta_vae"]
    assert evaluate(rows, ["factor_vae"], fast=True)["factor_vae"] == together["factor_vae"]
    others = {evaluate(rows, ["omes"], seed=seed)["omes"] for seed in range(3)}
    assert len(others) == 3 and together["omes"] in others


def test_metrics_share_the_items_they_look_at() -> None:
    encoded: list[int] = []

    def codes_of(factors: np.ndarray) -> np.ndarray:
        encoded.append(len(factors))
        return factors.astype(float)

    evaluate(FactorRepresentation((3, 4), codes_of), ["mig", "modularity", "irs", "sap"])
    assert encoded == [10_000, 10_000, 5_000]


def test_unknown_metrics_are_named() -> None:
    with pytest.raises(ValueError, match="no metric named fid, tad. Choose among factor_vae, dci"):
        evaluate(from_rows(), ["mig", "fid", "tad"])
    with pytest.raises(ValueError, match="No metric is named. Choose among"):
        evaluate(from_rows(), [])


def test_a_metric_without_a_value_is_skipped_with_its_reason() -> None:
    rows = from_arrays(from_rows().codes[:, :1], from_rows().factors)
    result = evaluate(rows, ["mig", "sap", "active_dims", "omes"])
    assert result["mig"] is None and result["sap"] is None and result["omes"] is None
    assert result["skipped"]["mig"] == "needs at least 2 code dimensions to compare, got 1"
    assert "pairs" in result["skipped"]["omes"]
    assert result["active_dims"] == 1
    with pytest.raises(ValueError, match="has a value: mig needs at least 2 code dimensions"):
        evaluate(rows, ["mig"])


def test_a_single_factor_can_be_scored_where_that_means_something() -> None:
    factors = np.tile([[0], [1], [2]], (120, 1))
    result = evaluate(from_arrays(np.tile(factors, 2) * [1.0, 0.1], factors), fast=True)
    assert set(result["skipped"]) == {"factor_vae", "dci", "modularity", "beta_vae", "infomec"}
    assert result["factor_vae"] is None  # noise had 1 as well: every vote names the one factor
    assert result["explicitness"] == 1


def test_progress_of_each_metric_ends_at_one(rows: ArrayRepresentation) -> None:
    heard: dict[str, list[float]] = {}
    evaluate(
        rows, fast=True, on_progress=lambda name, done: heard.setdefault(name, []).append(done)
    )
    assert list(heard) == list(METRICS)
    for name, steps in heard.items():
        assert steps == sorted(steps), name
        assert steps[-1] == pytest.approx(1), name
    assert len(heard["factor_vae"]) > 5


def test_an_exception_in_progress_stops_the_work(rows: ArrayRepresentation) -> None:
    def cancel(name: str, done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(rows, ["dci"], on_progress=cancel)


def test_controls_are_the_oracle_and_a_rotation_of_it(rows: ArrayRepresentation) -> None:
    heard: list[str] = []
    table = controls(rows, CHEAP, on_progress=lambda name, done: heard.append(name))
    assert list(table) == ["oracle", "random_rotation"]
    for key in ("mig", "modularity", "irs"):
        assert table["oracle"][key] == pytest.approx(1, abs=1e-9)
        assert table["random_rotation"][key] < 0.9
    assert table["oracle"]["representation"]["codes"] == "oracle"
    assert table["oracle"]["settings"] == table["random_rotation"]["settings"]
    assert heard[0] == "oracle: mig" and heard[-1] == "random rotation: active_dims"


def test_the_rotation_keeps_lengths_and_depends_on_the_seed(rows: ArrayRepresentation) -> None:
    rng = np.random.default_rng(0)
    straight = oracle(rows).sample(rng, 1).codes
    turned = random_rotation(rows).sample(rng, 1).codes
    np.testing.assert_allclose(straight.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(straight.std(axis=0), 1)
    np.testing.assert_allclose((straight**2).sum(axis=1), (turned**2).sum(axis=1))
    np.testing.assert_allclose(np.linalg.det(np.linalg.lstsq(straight, turned)[0]), 1)
    assert not np.allclose(turned, random_rotation(rows, seed=1).sample(rng, 1).codes)


def test_controls_encode_no_image() -> None:
    def codes_of(factors: np.ndarray) -> np.ndarray:
        raise AssertionError("an image was encoded")

    table = controls(FactorRepresentation((3, 4), codes_of), CHEAP)
    assert table["oracle"]["mig"] > 0.99
    assert table["oracle"]["omes"] > 0.97
    assert table["random_rotation"]["representation"]["source"] == "factors"


def test_without_scikit_learn_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert evaluate(from_rows(), ["mig", "active_dims"])["mig"] == pytest.approx(1)
    for name in ("dci", "sap", "explicitness", "beta_vae", "infomec"):
        with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn") as caught:
            evaluate(from_rows(), [name])
        assert caught.value.name == "scikit-learn"  # the command line prints it
