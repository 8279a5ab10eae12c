"""Tables and plots of what `benchmarks.speed` measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.report.plot_style import BLUE, GREEN, INK, ORANGE, PURPLE, dress, to_png

COLOURS = {
    "ddim": INK,
    "ddim corrected": BLUE,
    "ddim corrected twice": "#86b0dd",
    "dpmpp_2m": ORANGE,
    "unipc": GREEN,
    "ddim_2m uncorrected": "#c3a9d8",
    "ddim_2m": PURPLE,
    "bdia": "#b04a4a",
}
GOALS = {"cpu": 3.0, "cuda": 5.0}  # times as fast as the official way, for a whole edit
PREVIEW_GOAL = 300.0
MEMORY_GOAL = 0.5  # of the official way's peak, on a GPU
MIB = 2**20
Row = dict[str, Any]


def write_report(results: Row, folder: Path) -> str:
    """Write speed.json, speed.md and the plots into a folder; returns the tables.

    Without "times" and "growth" among the results, those of the errors alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{results['machine']}, threads: {results['threads']}, heads: {results['heads']}",
        "",
        *fidelity_table(results["fidelity"]),
    ]
    is_timed = "times" in results
    if is_timed:
        lines += ["", *times_table(results["times"], results["official"])]
        lines += ["", *goals(results["times"], results["official"], results["device"])]
        lines += ["", *growth_table(results["growth"])]
    text = "\n".join(lines)
    (folder / "speed.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "speed.md").write_text(text + "\n", encoding="utf-8")
    (folder / "speed_fidelity.png").write_bytes(
        fidelity_plot(results["fidelity"], results["official"])
    )
    if is_timed:
        (folder / "speed_growth.png").write_bytes(growth_plot(results["growth"]))
    return text


def whole(row: Row, key: str = "wall") -> float:
    """Seconds of a whole edit."""
    return sum(row["stages"][stage][key] for stage in ("encode", "invert", "decode"))


def fidelity_table(found: list[Row]) -> list[str]:
    """Errors of all that was judged, in Markdown."""
    lines = [
        "| pair | dtype | steps | evaluations | reconstruction | edit |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        way = each["way"]
        lines.append(
            f"| {way['name']} | {way['dtype']} | {way['inversion_steps']} and {way['steps']} "
            f"| {each['evaluations']} | {each['reconstruction']:.2f} | {each['edit']:.2f} |"
        )
    return lines


def compared_with(row: Row, rows: list[Row], official: list[str]) -> Row:
    """The official way that a row is an alternative to: the last one before it, same case."""
    before = rows[: rows.index(row) + 1]
    like = (row["case"], row["batch"])
    return [
        each
        for each in before
        if each["way"]["name"] in official and (each["case"], each["batch"]) == like
    ][-1]


def times_table(rows: list[Row], official: list[str]) -> list[str]:
    """Time and memory of every way, in Markdown; a tilde marks what was scaled from fewer steps.

    Working memory is what came on top of the weights, and of a process of Python and PyTorch.
    """
    lines = [
        "| model | batch | way | evaluations | encode ms | invert s | decode s | whole edit s "
        "| peak MiB | working MiB | times as fast (wall) | (CPU time) |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda each: (rows[0]["case"] != each["case"], each["batch"] > 1)):
        base, stages = compared_with(row, rows, official), row["stages"]
        about = "~" if row["is_scaled"] else ""
        lines.append(
            f"| {row['case']} | {row['batch']} | {described(row['way'])} "
            f"| {sum(row['evaluations'])} | {stages['encode']['wall'] * 1e3:.1f} "
            f"| {about}{stages['invert']['wall']:.3g} | {about}{stages['decode']['wall']:.3g} "
            f"| {about}{whole(row):.3g} | {row['memory_bytes'] / MIB:.0f} "
            f"| {row['working_bytes'] / MIB:.0f} "
            f"| {whole(base) / whole(row):.1f} | {whole(base, 'cpu') / whole(row, 'cpu'):.1f} |"
        )
    return lines


def described(way: Row) -> str:
    """A way in a few words."""
    parts = [way["name"], f"{way['inversion_steps']} and {way['steps']} steps"]
    if way["name"].startswith("official"):
        parts.pop()
    parts.append(way["dtype"])
    if way["layout"] != "contiguous":
        parts.append("channels last")
    if way["compiled"]:
        parts.append("compiled")
    return ", ".join(parts)


def goals(rows: list[Row], official: list[str], device: str) -> list[str]:
    """For each model, batch and official way, how the fastest as close stands to the goals."""
    lines = []
    groups: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        base = compared_with(row, rows, official)
        if row is base or "default" in row["way"]["name"]:
            continue
        groups.setdefault((row["case"], row["batch"], base["way"]["name"]), []).append(row)
    for (case, batch, name), ours in groups.items():
        best = min(ours, key=whole)
        base = compared_with(best, rows, official)
        speed = whole(base) / whole(best)
        line = (
            f"- {case}, batch {batch}, against {name}: {described(best['way'])}, "
            f"{speed:.1f} times as fast (goal {GOALS[device]:g}: {_reached(speed, GOALS[device])})"
        )
        if device == "cuda":
            share = best["memory_bytes"] / base["memory_bytes"]
            line += f", {share:.2f} of the memory ({_reached(-share, -MEMORY_GOAL)})"
        if "preview" in base["stages"]:
            faster = whole(base) / best["stages"]["preview"]["wall"]
            line += f"; tracked preview {faster:.0f} times ({_reached(faster, PREVIEW_GOAL)})"
        lines.append(line)
    return lines


def _reached(value: float, goal: float) -> str:
    return "reached" if value >= goal else "not reached"


def growth_table(growth: dict[str, list[Row]]) -> list[str]:
    """Seconds of a whole edit and memory, against batch, steps and size."""
    lines = ["| against | value | whole edit s | working MiB |", "|---|---|---|---|"]
    for what, rows in growth.items():
        for row in rows:
            lines.append(
                f"| {what} | {_value(what, row)} | {whole(row):.3g} "
                f"| {row['working_bytes'] / MIB:.0f} |"
            )
    return lines


def _value(what: str, row: Row) -> int:
    return row["steps"][0] if what == "steps" else row[what]


def fidelity_plot(found: list[Row], official: list[str]) -> bytes:
    """Errors against evaluations of the network, a line for each pair, in float32: a PNG."""
    figure = Figure(figsize=(9, 3.8))
    for index, what in enumerate(("reconstruction", "edit")):
        axes = figure.add_subplot(1, 2, index + 1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for pair, colour in COLOURS.items():
            rows = [
                each
                for each in found
                if each["way"]["name"] == pair and each["way"]["dtype"] == "fp32"
            ]
            counts = [each["evaluations"] for each in rows]
            axes.plot(counts, [each[what] for each in rows], "o-", ms=3, color=colour, label=pair)
        for each in found:
            if each["way"]["name"] in official:
                axes.axhline(each[what], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
                axes.text(
                    1, each[what], each["way"]["name"], fontsize=7, ha="right", va="bottom",
                    transform=axes.get_yaxis_transform(),
                )  # fmt: skip
        dress(axes, what, "levels of 255", None, x_label="evaluations, inversion and decode")
        _plain_numbers(axes, [10, 20, 50, 100])
    figure.axes[0].legend(fontsize=7, frameon=False)
    return to_png(figure)


def growth_plot(growth: dict[str, list[Row]]) -> bytes:
    """Time and memory against batch, steps and size, with a dotted line for linear: a PNG."""
    figure = Figure(figsize=(10, 5.2))
    for column, (what, rows) in enumerate(growth.items()):
        values = [_value(what, row) for row in rows]
        for line, (unit, taken) in enumerate(
            (
                ("seconds of an edit", [whole(row) for row in rows]),
                ("working MiB", [max(1, row["working_bytes"] / MIB) for row in rows]),
            )
        ):
            axes = figure.add_subplot(2, 3, 3 * line + column + 1)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.plot(values, taken, "o-", ms=3, color=BLUE)
            if line == 0:
                power = 2 if what == "size" else 1  # in the number of pixels
                linear = [taken[-1] * (value / values[-1]) ** power for value in values]
                axes.plot(values, linear, ":", color=ORANGE, label="linear")
            dress(axes, "", unit if column == 0 else "", None, x_label=what, is_lowest=line == 1)
            _plain_numbers(axes, values)
    figure.axes[0].legend(fontsize=7, frameon=False)
    return to_png(figure)


def _plain_numbers(axes: Axes, values: list[int]) -> None:
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()
