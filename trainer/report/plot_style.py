"""How the report's figures look: colours, lines, axes."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

INK, FAINT_INK, HAIRLINE = "#26262a", "#706f6c", "#dedcd6"
BLUE, ORANGE, GREEN, PURPLE = "#2f6db3", "#d9822b", "#3a8f5c", "#8a5aa8"
DOTS_PER_INCH = 150
SMOOTHING_SHARE = 0.03  # of the records, in one window of the thick line
WIDE_LOG = 50  # a logarithmic axis of more than this ratio is labelled at powers of ten only


class Span(NamedTuple):
    """The steps of a run: end of the co-pilot's warm-up (None without one), and last step."""

    warmup: float | None
    end: float


def smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a window of 3 % of the series, shorter at both ends."""
    half = int(len(values) * SMOOTHING_SHARE / 2)
    if half == 0:
        return values
    total = np.concatenate([[0.0], values.cumsum()])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def draw_line(
    axes: Axes,
    steps: np.ndarray,
    values: np.ndarray,
    colour: str,
    *,
    label: str | None = None,
    width: float = 1.6,
    raw: bool = True,
) -> None:
    """Add a series: its running mean, over the values themselves in thin when `raw`."""
    if not len(steps):
        return
    if raw:
        axes.plot(steps, values, color=colour, linewidth=0.5, alpha=0.3)
        values = smooth(values)
    marker = "o" if len(steps) == 1 else ""
    axes.plot(steps, values, color=colour, linewidth=width, label=label, marker=marker)


def dress(
    axes: Axes,
    title: str,
    unit: str,
    span: Span | None,
    *,
    shade: bool = True,
    is_lowest: bool = True,
    x_label: str = "step",
) -> None:
    """Give axes the look of the report: no frame, faint marks, the warm-up in grey.

    Args:
        span: steps of the run; None when the horizontal axis is something else.
        shade: mark the warm-up as an area, else as a dashed line.
        is_lowest: whether the horizontal axis gets its label.
    """
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(HAIRLINE)
    axes.tick_params(labelsize=8, colors=FAINT_INK, length=0, which="both")
    axes.grid(True, axis="y", color=HAIRLINE, linewidth=0.6)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    if unit:
        axes.set_ylabel(unit, fontsize=8, color=FAINT_INK)
    if is_lowest:
        axes.set_xlabel(x_label, fontsize=8, color=FAINT_INK)
    if axes.get_yscale() == "log":
        low, high = axes.get_ylim()
        subs = (1.0,) if high > WIDE_LOG * low else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    if span is None:
        return
    axes.set_xlim(0, 1.02 * span.end)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
    if span.warmup is not None and shade:
        axes.axvspan(0, span.warmup, color=HAIRLINE, alpha=0.4, linewidth=0, zorder=0)
    elif span.warmup is not None:
        axes.axvline(span.warmup, color=FAINT_INK, linewidth=0.8, linestyle=(0, (3, 3)))


def _thousands(value: float) -> str:
    if abs(value) >= 10_000 and value % 1000 == 0:
        return f"{value / 1000:g}k"
    return f"{value:,.0f}"


def label_dimensions(axes: Axes, order: np.ndarray) -> None:
    """Number the rows, at most 32 of them."""
    stride = max(1, -(-len(order) // 32))
    places = np.arange(0, len(order), stride)
    axes.set_yticks(places, [str(order[place]) for place in places])


def dimensions_height(num_dimensions: int) -> float:
    """Inches for a figure with a row per dimension."""
    return min(7.0, 1.3 + 0.16 * max(8, num_dimensions))


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    figure.set_facecolor("white")
    if figure.get_layout_engine() is None:
        figure.tight_layout(pad=0.8)
    figure.dpi = DOTS_PER_INCH
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # `Figure.savefig` would draw it twice
    return buffer.getvalue()
