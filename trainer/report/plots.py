"""The curves of a run as images, drawn with matplotlib without a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..monitor.metrics_file import images_per_second
from ..training.controller import KL_WEIGHT_RANGE
from ..training.record import TrainingRecord
from .diagnosis import USED_LOW, has_capacity, stores_entropy
from .history import (
    USED_DIMENSION,
    Run,
    dimensions_table,
    final_dimensions,
    joint_records,
    used_dimensions,
)
from .plot_style import (
    BLUE,
    FAINT_INK,
    GREEN,
    HAIRLINE,
    INK,
    ORANGE,
    PURPLE,
    Span,
    dimensions_height,
    draw_line,
    dress,
    label_dimensions,
    to_png,
)

SPEED_RECORDS = 20
HEAT_COLUMNS = 100


@dataclass(frozen=True)
class Curve:
    """A figure of the report.

    Attributes:
        title: what it shows.
        caption: how to read it.
        png: the image.
        is_wide: whether it wants the whole width of a page.
    """

    title: str
    caption: str
    png: bytes
    is_wide: bool = False


def draw_curves(
    records: Sequence[TrainingRecord], config: Mapping[str, Any] | None = None
) -> list[Curve]:
    """All figures that the records support, in reading order.

    Args:
        records: as in stats.jsonl, in the order of their steps; missing keys leave lines out.
        config: nested mapping as in config.json; it tells whether there is a capacity to draw.
    """
    if not records:
        return []
    run = Run(records, joint_records(records), config or {})
    span = Span(warmup_end(records), records[-1].step)
    drawn = [
        draw_losses(records, span),
        draw_stored(run, span),
        draw_control(run, span),
        draw_dimensions(records, span),
        draw_final_dimensions(records),
        draw_speed(records, span),
    ]
    return [curve for curve in drawn if curve is not None]


def warmup_end(records: Sequence[TrainingRecord]) -> float | None:
    """The last step of the co-pilot's warm-up, None when there was none."""
    joint = joint_records(records)
    first = joint[0].step if joint else float("inf")
    before = [record.step for record in records if record.step < first]
    return before[-1] if before else None


def points(
    records: Sequence[TrainingRecord], key: str, *, positive: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of `key` where it is a finite number (above 0 if `positive`)."""
    pairs = [(record.step, record.number(key)) for record in records]
    kept = [(s, v) for s, v in pairs if v is not None and (v > 0 or not positive)]
    table = np.array(kept, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def draw_losses(records: Sequence[TrainingRecord], span: Span) -> Curve | None:
    """The loss terms, each on its own axis; that of the wide code only of an adaptation."""
    wanted = [
        ("diffusion", "images (diffusion)", "mean per value", BLUE, True),
        ("embedding", "imported code", "mean per scalar", GREEN, True),
        ("distillation", "distillation", "nats per dimension", PURPLE, True),
        ("reconstruction", "co-pilot", "nats per image", ORANGE, False),
    ]
    shown = [item for item in wanted if len(points(records, item[0], positive=item[4])[0])]
    if not shown:
        return None
    figure = Figure(figsize=(10, 2.9))
    for index, (key, title, unit, colour, is_positive) in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), index)
        draw_line(axes, *points(records, key, positive=is_positive), colour)
        if is_positive:
            axes.set_yscale("log")
        dress(axes, title, unit, span)
    caption = (
        "Lower is better. Thin: single batches; thick: running mean. The grey part is the "
        "co-pilot's warm-up, in which no images are learned. The co-pilot's loss may be negative."
    )
    return Curve("Losses", caption, to_png(figure), is_wide=True)


def draw_stored(run: Run, span: Span) -> Curve | None:
    """KL of the co-pilot and of the encoder on one axis in nats, and C where there is one."""
    records, joint = run.records, run.joint
    stored = "entropy of the co-pilot's code" if stores_entropy(run) else "co-pilot KL"
    lines = [("encoder_kl", "encoder KL", PURPLE), ("kl", stored, ORANGE)]
    if has_capacity(run):
        lines.append(("capacity", "C, the target", INK))
    figure = Figure(figsize=(5.6, 3.4))
    axes = figure.add_subplot()
    for key, label, colour in lines:
        # the encoder learns nothing in the warm-up
        steps, values = points(joint if key == "encoder_kl" else records, key)
        if not len(steps):
            continue
        width = 1.4 if key == "capacity" else 1.6
        draw_line(axes, steps, values, colour, label=label, width=width, raw=key != "capacity")
    if not axes.lines:
        return None
    axes.set_ylim(bottom=0, top=_upper(records, [key for key, _, _ in lines]))
    axes.legend(loc="upper left", frameon=False, fontsize=8, labelcolor=INK)
    dress(axes, "", "nats per image", span)
    if has_capacity(run):
        caption = "Healthy: the co-pilot's KL lies on C, and the encoder's KL on both."
    elif stores_entropy(run):
        caption = (
            "This objective has no KL and no capacity: what its code holds is told by an entropy."
        )
    else:
        caption = (
            "A constant kl_weight holds the co-pilot's KL, without a capacity. Healthy: the "
            "encoder's KL lies on the co-pilot's."
        )
    return Curve("What the code stores", caption, to_png(figure))


def draw_control(run: Run, span: Span) -> Curve | None:
    """kl_weight where it moves, and the share of the code whose loss the decoder notices."""
    weight = points(run.records, "kl_weight", positive=True)
    share = points(run.records, "used")
    is_moved = has_capacity(run)
    if not len(share[0]) and not (is_moved and len(weight[0])):
        return None
    figure = Figure(figsize=(5.6, 3.4))
    bottom = figure.add_subplot(2, 1, 2) if is_moved else figure.add_subplot()
    if is_moved:
        top = figure.add_subplot(2, 1, 1, sharex=bottom)
        draw_line(top, *weight, BLUE, raw=False)
        top.set_yscale("log")
        dress(top, "kl_weight, which holds KL at C", "", span, is_lowest=False)
        top.tick_params(labelbottom=False)
    draw_line(bottom, *share, GREEN, raw=False)
    bottom.axhspan(USED_LOW, 1.0, color=GREEN, alpha=0.08, linewidth=0)
    bottom.set_ylim(0, 1.05)
    dress(bottom, "share of the code in use; the green band is healthy", "", span)
    caption = (
        "In use: a dimension of the code counts for as many of its nats as it saves the image "
        "decoder, measured by borrowing it from another image. One that matters saves far more, so "
        "1 means that no dimension is ignored, not that all of what is stored is drawn."
    )
    if not is_moved:
        return Curve("The code in use", caption, to_png(figure))
    lowest, highest = KL_WEIGHT_RANGE
    wandering = (
        "Where the controller sets kl_weight it may wander over powers of ten; trouble is a line "
        f"that lies at its end ({lowest:g} or {highest:g})."
    )
    return Curve("kl_weight and the code in use", f"{wandering} {caption}", to_png(figure))


def draw_dimensions(records: Sequence[TrainingRecord], span: Span) -> Curve | None:
    """KL of each dimension over time as a heat map, strongest at the end on top."""
    table = dimensions_table(records)
    if table is None or len(table[0]) < 2:
        return None
    steps, kl = table
    order = _strongest_first(records)
    columns = np.array_split(np.arange(len(steps)), min(HEAT_COLUMNS, len(steps)))
    heat = np.stack([kl[part].mean(axis=0) for part in columns], axis=1)[order]  # (N, columns)
    count = len(order)
    figure = Figure(figsize=(5.6, dimensions_height(count)))
    axes = figure.add_subplot()
    extent = (float(steps[0]), float(steps[-1]), count - 0.5, -0.5)
    highest = max(USED_DIMENSION, 1.1 * float(np.quantile(heat, 0.99)))
    image = axes.imshow(heat, aspect="auto", extent=extent, cmap="YlGnBu", vmin=0, vmax=highest)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=8, colors=FAINT_INK, length=0)
    bar.ax.set_title("nats", fontsize=8, color=FAINT_INK)
    dress(axes, "", "dimension", span, shade=False)
    label_dimensions(axes, order)
    axes.grid(False)
    caption = (
        "Each row is one dimension of the co-pilot, the strongest at the end on top. A row that "
        "turns dark has found something in the images to describe."
    )
    return Curve("Dimensions over time", caption, to_png(figure))


def draw_final_dimensions(records: Sequence[TrainingRecord]) -> Curve | None:
    """KL of each dimension at the end as bars."""
    kl = final_dimensions(records)
    if kl is None:
        return None
    order = _strongest_first(records)
    figure = Figure(figsize=(5.6, dimensions_height(len(kl))))
    axes = figure.add_subplot()
    colours = [BLUE if kl[index] > USED_DIMENSION else "#c9c7c0" for index in order]
    axes.barh(np.arange(len(kl)), kl[order], color=colours, height=0.72)
    axes.axvline(USED_DIMENSION, color=FAINT_INK, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.set_ylim(len(kl) - 0.4, -0.6)
    dress(axes, "", "dimension", None, x_label="nats, mean over the last tenth of the run")
    label_dimensions(axes, order)
    axes.grid(True, axis="x", color=HAIRLINE, linewidth=0.6)
    axes.grid(False, axis="y")
    caption = (
        f"{used_dimensions(records)} of {len(kl)} dimensions carry more than {USED_DIMENSION:g} "
        "nat (dashed) and can become sliders; the grey ones are idle."
    )
    return Curve("Dimensions at the end", caption, to_png(figure))


def draw_speed(records: Sequence[TrainingRecord], span: Span) -> Curve | None:
    """Images per second, and the gradient norm next to it."""
    timed = [
        record
        for record in records
        if record.number("seconds") is not None and record.images is not None
    ]
    speeds = []
    for index in range(1, len(timed)):
        earlier = timed[max(0, index - SPEED_RECORDS)]
        speeds.append((timed[index].step, images_per_second(earlier, timed[index])))
    table = np.array([pair for pair in speeds if pair[1] is not None], dtype=float).reshape(-1, 2)
    shown = [
        ("images per second", table[:, 0], table[:, 1], BLUE, False),
        ("gradient norm", *points(records, "gradient_norm", positive=True), ORANGE, True),
        ("learning rate", *points(records, "learning_rate", positive=True), PURPLE, False),
    ]
    shown = [item for item in shown if len(item[1])]
    if not shown:
        return None
    figure = Figure(figsize=(10, 2.6))
    for index, (title, steps, values, colour, raw) in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), index)
        draw_line(axes, steps, values, colour, raw=raw)
        if title == "gradient norm":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        dress(axes, title, "", span)
    caption = (
        "Speed counts the training steps alone, without sheets and saving. The warm-up is faster, "
        "because it trains the small co-pilot only."
    )
    return Curve("Speed and steps", caption, to_png(figure), is_wide=True)


def _strongest_first(records: Sequence[TrainingRecord]) -> np.ndarray:
    kl = final_dimensions(records)
    return np.array([], dtype=int) if kl is None else (-kl).argsort(kind="stable")


def _upper(records: Sequence[TrainingRecord], keys: Sequence[str]) -> float:
    """Top of an axis that a few wild values do not stretch."""
    tops = [np.quantile(values, 0.995) for key in keys if len(values := points(records, key)[1])]
    return 1.12 * max(1.0, *tops) if tops else 1.0
