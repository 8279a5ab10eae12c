"""Differences between the rows of a sweep, taken seed by seed, with their intervals.

Runs of one seed see the same images in the same order where their rows agree in batch_size,
loop.copilot_updates, num_images and held_out, and begin with the same weights where their networks
are alike. What a seed then does to both rows cancels out of their difference; between other rows
the difference is as valid, but more of the chance is left in it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..training.record import finite
from .columns import COUNTS, column_name, in_cell

CONFIDENCE = 0.95
HEADINGS = ("row", "score", "difference", "95 % interval", "n", "same sign")


@dataclass(frozen=True)
class Difference:
    """How much higher a row scores than a baseline, over the seeds that both have.

    Attributes:
        row, baseline: names of rows.
        score: key of a result.
        mean: of row minus baseline.
        interval: lower and upper end of the 95 % interval of the mean; None for one seed.
        n: seeds that both have.
        same_sign: seeds whose difference has the sign of the mean.
    """

    row: str
    baseline: str
    score: str
    mean: float
    interval: tuple[float, float] | None
    n: int
    same_sign: int


def paired_differences(
    results: Sequence[Mapping[str, Any]], baselines: Sequence[str], scores: Sequence[str]
) -> list[Difference]:
    """Of every other row to each baseline, in every score that both have with some seed.

    Args:
        results: of the runs; failures and controls are left out.
        scores: keys of the results; counts (`COUNTS`) among them are left out.
    """
    runs = [each for each in results if "error" not in each and not each.get("control")]
    rows = list(dict.fromkeys(each["row"] for each in runs))
    return [
        _difference(row, baseline, score, differences)
        for baseline in baselines
        for row in rows
        if row != baseline
        for score in scores
        if score not in COUNTS
        if (differences := [*_by_seed(runs, row, baseline, score)])
    ]


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean by Student's t; None for fewer than two values.

    mean ± t sd / sqrt(n), with n - 1 degrees of freedom in t and in the standard deviation.
    """
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    t = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    half = t * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def describe_differences(differences: Sequence[Difference]) -> str:
    """Markdown: a table for each baseline, one line per row and score; "" without differences."""
    texts = []
    for baseline in dict.fromkeys(each.baseline for each in differences):
        lines = [
            f'Differences to "{baseline}": mean over the n seeds that both rows have, seed by '
            "seed; 95 % interval of that mean (Student's t, each on its own: of twenty intervals "
            "one misses by chance); how many seeds have the sign of the mean. What only one of "
            "the two rows has is left out.",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---" * len(HEADINGS) + "|",
            *(_line(each) for each in differences if each.baseline == baseline),
        ]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _by_seed(
    runs: Sequence[Mapping[str, Any]], row: str, baseline: str, score: str
) -> Iterator[float]:
    values = {
        (run["row"], run["seed"]): value
        for run in runs
        if (value := finite(run.get(score))) is not None
    }
    for name, seed in values:
        if name == row and (baseline, seed) in values:
            yield values[row, seed] - values[baseline, seed]


def _difference(row: str, baseline: str, score: str, values: Sequence[float]) -> Difference:
    mean = statistics.fmean(values)
    same = sum(_sign(value) == _sign(mean) for value in values)
    return Difference(row, baseline, score, mean, mean_interval(values), len(values), same)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _line(each: Difference) -> str:
    interval = "-"
    if each.interval is not None:
        interval = f"{each.interval[0]:+.3g} to {each.interval[1]:+.3g}"
    name = column_name(each.score)
    same = f"{each.same_sign} of {each.n}"
    return f"| {in_cell(each.row)} | {name} | {each.mean:+.3g} | {interval} | {each.n} | {same} |"
