"""Paired differences between the rows of a sweep, by hand."""

import json

import pytest

from trainer.sweep.paired import (
    Difference,
    describe_differences,
    mean_interval,
    paired_differences,
)
from trainer.sweep.sweep_file import load_sweep
from trainer.sweep.table import read_results, write_table


def runs(row, values, key="mig"):
    return [{"row": row, "seed": seed, key: value} for seed, value in values.items()]


def test_three_seeds_by_hand():
    """Differences 1, 2 and 3: sd 1, and t of 2 degrees of freedom is 4.3027."""
    results = [*runs("base", {0: 10.0, 1: 20.0, 2: 30.0}), *runs("a", {2: 33.0, 0: 11.0, 1: 22.0})]
    (found,) = paired_differences(results, ["base"], ["mig"])
    assert (found.row, found.baseline, found.score) == ("a", "base", "mig")
    assert (found.mean, found.n, found.same_sign) == (2.0, 3, 3)
    half = 4.302653 / 3**0.5
    assert found.interval == pytest.approx((2 - half, 2 + half), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "interval"),
    [
        ([], None),
        ([7.0], None),
        ([1.0, 1.0], (1.0, 1.0)),
        ([0.0, 2.0], (1 - 12.706205, 1 + 12.706205)),  # sd sqrt(2), over sqrt(2)
        ([-1.0, 0.0, 1.0, 0.0, 0.0], (-2.776445 * 0.1**0.5, 2.776445 * 0.1**0.5)),  # sd sqrt(1/2)
    ],
)
def test_the_interval_of_a_mean(values, interval):
    assert mean_interval(values) == (None if interval is None else pytest.approx(interval))


def test_the_order_of_the_two_rows_turns_the_sign():
    results = [*runs("a", {0: 0.5, 1: 0.25}), *runs("b", {0: 0.25, 1: 0.375})]
    there, back = paired_differences(results, ["a", "b"], ["mig"])
    assert (there.row, back.row) == ("b", "a")
    assert there.mean == -back.mean == -0.0625
    assert there.interval is not None and back.interval is not None
    assert there.interval == (-back.interval[1], -back.interval[0])
    assert there.same_sign == back.same_sign == 1


def test_only_seeds_that_both_rows_have_count():
    results = [
        *runs("base", {0: 0.5, 1: 0.25, 2: 0.125, 5: 0.0}),
        *runs("a", {1: 0.5, 2: 0.25, 3: 99.0}),
        {"row": "a", "seed": 0, "error": "ValueError: no"},
        {"row": "a", "seed": 5, "mig": None},
        *runs("b", {5: 0.25}),
        *runs("c", {3: 0.25, 4: 0.5}),
        {"row": "oracle", "seed": 1, "control": True, "mig": 1.0},
    ]
    a, b = paired_differences(results, ["base"], ["mig"])  # c shares no seed, controls are no rows
    assert (a.row, a.mean, a.n, a.same_sign) == ("a", 0.1875, 2, 2)
    assert b == Difference("b", "base", "mig", 0.25, None, 1, 1)


def test_counts_are_not_compared(tmp_path, file_text, write):
    """Nor given a second time for the co-pilot's code."""
    metrics = 'data = "heads"\nmetrics = ["mig", "omes", "active_dims"]\nbaseline = "ramp"'
    sweep = load_sweep(write(tmp_path / "s.toml", file_text.replace('data = "heads"', metrics)))
    assert sweep.scores == (
        "mig",
        "omes",
        "omes_pairs",
        "active_dims",
        "copilot_mig",
        "copilot_omes",
    )
    values = dict.fromkeys(sweep.scores, 0.5)
    results = [{"row": row, "seed": 0, **values} for row in sweep.rows]
    found = paired_differences(results, sweep.baselines, sweep.scores)
    assert [each.score for each in found] == ["mig", "omes", "copilot_mig", "copilot_omes"]


def test_a_baseline_without_results_yet_has_no_differences():
    assert paired_differences(runs("a", {0: 1.0}), ["base"], ["mig"]) == []
    assert paired_differences([], ["base"], ["mig"]) == []
    assert describe_differences([]) == ""


def test_the_code_of_a_copilot_compares_with_a_copilot_alone():
    """A row without a diffusion branch has its co-pilot's scores as its own too."""
    results = [
        {"row": "alone", "seed": 0, "mig": 0.5, "copilot_mig": 0.5},
        {"row": "loop", "seed": 0, "mig": 0.375, "copilot_mig": 0.625},
        {"row": "no loop", "seed": 0, "mig": 0.125},
    ]
    found = paired_differences(results, ["alone"], ["mig", "copilot_mig"])
    assert [(each.row, each.score, each.mean) for each in found] == [
        ("loop", "mig", -0.125),
        ("loop", "copilot_mig", 0.125),
        ("no loop", "mig", -0.375),
    ]


def test_the_tables_in_words():
    results = [
        *runs("base", {0: 1.0, 1: 1.0, 2: 1.0}),
        *runs("a", {0: 2.0, 1: 3.0, 2: 4.0}),
        *runs("b", {2: 0.75}),
    ]
    text = describe_differences(paired_differences(results, ["base", "b"], ["mig"]))
    first, second = text.split("\n\nDifferences to ")
    assert first.startswith('Differences to "base": ') and second.startswith('"b": ')
    lines = first.splitlines()
    assert lines[2] == "| row | score | difference | 95 % interval | n | same sign |"
    assert lines[4:] == [
        "| a | MIG | +2 | -0.484 to +4.48 | 3 | 3 of 3 |",
        "| b | MIG | -0.25 | - | 1 | 1 of 1 |",
    ]
    assert [line.split(" | ")[2:4] for line in second.splitlines()[4:]] == [
        ["+0.25", "-"],
        ["+3.25", "-"],
    ]


def test_table_json_keeps_the_numbers_and_is_read_as_before(tmp_path):
    results = [*runs("base", {0: 0.5}), *runs("a", {0: 0.75})]
    write_table(tmp_path, results, "text", None, paired_differences(results, ["base"], ["mig"]))
    stored = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert stored[:2] == results == read_results(tmp_path)
    assert stored[2:] == [
        {
            "differences": [
                {
                    "row": "a",
                    "baseline": "base",
                    "score": "mig",
                    "mean": 0.25,
                    "interval": None,
                    "n": 1,
                    "same_sign": 1,
                }
            ]
        }
    ]
