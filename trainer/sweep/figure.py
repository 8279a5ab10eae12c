"""The table of a sweep as an image: bars of the rows, dots of their seeds, control lines."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..report.plot_style import BLUE, FAINT_INK, GREEN, HAIRLINE, INK, ORANGE, dress, to_png
from ..training.record import finite
from .columns import column_name
from .table import Result

PANELS_PER_LINE = 5
NAME_WIDTH = 28  # characters of a row's name
TITLE_WIDTH = 24  # characters of a line of a panel's title
ALL_ZERO = "0 in every row"


def draw_results(results: Sequence[Result], groups: Sequence[Sequence[str]]) -> bytes | None:
    """A PNG with a panel per column that has numbers; None when none has.

    Args:
        results: of the runs and the controls; failures are left out.
        groups: columns that belong together; each group begins a line of panels of its own.
    """
    done = [result for result in results if "error" not in result]
    runs = [result for result in done if not result.get("control")]
    controls = [result for result in done if result.get("control")]
    rows = list(dict.fromkeys(result["row"] for result in runs))
    lines: list[list[str]] = []
    for group in groups:
        shown = [name for name in group if any(finite(run.get(name)) is not None for run in runs)]
        lines += [
            shown[first : first + PANELS_PER_LINE]
            for first in range(0, len(shown), PANELS_PER_LINE)
        ]
    if not lines:
        return None
    num_columns = max(map(len, lines))
    height = len(lines) * (1.0 + 0.22 * len(rows)) + (0.35 if controls else 0)
    figure = Figure(figsize=(1.9 + 2.0 * num_columns, height), layout="constrained")
    names = [row if len(row) <= NAME_WIDTH else row[: NAME_WIDTH - 1] + "…" for row in rows]
    for line, shown in enumerate(lines):
        for column, name in enumerate(shown):
            axes = figure.add_subplot(len(lines), num_columns, line * num_columns + column + 1)
            _draw_column(axes, name, rows, runs, controls)
            shown_names = names if column == 0 else []
            axes.set_yticks(range(len(rows)), shown_names, parse_math=False)  # a $ is a $
    handles, labels = figure.axes[0].get_legend_handles_labels()
    for axes in figure.axes[1:]:  # the first panel may have no control
        handles, labels = max((handles, labels), axes.get_legend_handles_labels(), key=_length)
    if labels:
        figure.legend(
            handles, labels, loc="outside lower right", ncols=2, frameon=False, fontsize=8
        )
    return to_png(figure)


def _draw_column(
    axes: Axes, name: str, rows: Sequence[str], runs: Sequence[Result], controls: Sequence[Result]
) -> None:
    is_zero = True
    for place, row in enumerate(rows):
        values = [
            value
            for run in runs
            if run["row"] == row and (value := finite(run.get(name))) is not None
        ]
        if not values:
            continue
        is_zero = is_zero and not any(values)
        axes.barh(place, statistics.fmean(values), height=0.62, color=BLUE, alpha=0.55)
        if len(values) > 1:
            axes.plot(values, [place] * len(values), "o", color=INK, markersize=3.2)
    for control, colour in zip(controls, (GREEN, ORANGE), strict=False):
        value = finite(control.get(name))
        if value is not None:
            is_zero = is_zero and not value
            axes.axvline(value, color=colour, linewidth=1.2, label=control["row"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    title = textwrap.fill(column_name(name), TITLE_WIDTH)
    dress(axes, title, "", None, is_lowest=False)
    axes.axvline(0, color=FAINT_INK, linewidth=0.8)
    axes.grid(True, axis="x", color=HAIRLINE, linewidth=0.6)
    axes.grid(False, axis="y")
    if is_zero:  # else the scale would be made up about nothing
        axes.set_xlim(0, 1)
        axes.set_xticks([0])
        axes.text(0.05, (len(rows) - 1) / 2, ALL_ZERO, fontsize=8, color=FAINT_INK, va="center")


def _length(pair: tuple[list, list]) -> int:
    return len(pair[1])
