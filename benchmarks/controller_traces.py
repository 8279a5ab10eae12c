"""How the bottleneck moves: C and KL over the steps, one panel per row of a finished sweep.

    python -m benchmarks.controller_traces DIR --output FILE.png [--rows NAME,NAME,...]

Reads the stats.jsonl of every seed under DIR (`cldis sweep ... --output DIR`). Prints,
per row, C and KL at the end, and how far KL was from C over the joint training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trainer.config.settings import TrainConfig
from trainer.export import MODEL_NAME
from trainer.monitor.metrics_file import STATS_NAME, read_records
from trainer.report.plot_style import BLUE, FAINT_INK, INK, Span, draw_line, dress, to_png
from trainer.sweep.sweep import folder_name
from trainer.sweep.table import read_results
from trainer.training.checkpoint import read_config

SERIES = (
    ("encoder_kl", "KL of the semantic encoder", FAINT_INK),
    ("kl", "KL of the co-pilot", BLUE),
    ("capacity", "C", INK),
)
PANEL = (3.0, 2.5)  # inches
COLUMNS = 4


def read_run(folder: Path) -> tuple[TrainConfig, dict[str, np.ndarray]]:
    """The configuration of a run and its records as series by name; NaN where one is not known."""
    config = read_config(folder).config
    records = [record.numbers() for record in read_records(folder / STATS_NAME)]
    names = ["step", *(name for name, _, _ in SERIES)]
    series = {name: np.array([each.get(name) for each in records], float) for name in names}
    return config, series


def draw_traces(rows: dict[str, list[tuple[TrainConfig, dict[str, np.ndarray]]]]) -> bytes:
    """One panel per row; every seed is a line of its own. PNG."""
    num_lines = -(-len(rows) // COLUMNS)
    columns = min(COLUMNS, len(rows))
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * num_lines + 0.4))
    grid = figure.subplots(num_lines, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(rows):
            axes.set_visible(False)
            continue
        name, runs = [*rows.items()][index]
        for seed, (config, series) in enumerate(runs):
            joint = series["step"] > config.copilot_warmup_steps
            for key, label, colour in SERIES:
                of_diffusion = key == "encoder_kl"
                if of_diffusion and config.loop.copilot_only:
                    continue
                chosen = joint if of_diffusion else np.ones_like(joint)
                draw_line(
                    axes,
                    series["step"][chosen],
                    series[key][chosen],
                    colour,
                    label=label if seed == 0 else None,
                    width=1.0,
                    raw=False,
                )
        config = runs[0][0]
        warmup = None if config.loop.copilot_only else float(config.copilot_warmup_steps)
        span = Span(warmup, float(config.steps))
        dress(axes, name, "nats" if index % COLUMNS == 0 else "", span)
    handles, labels = grid.flat[len(rows) - 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(SERIES), frameon=False, fontsize=8)
    figure.suptitle(" ")  # keeps the legend's place free
    return to_png(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", default="", help="names as in the sweep file; all by default")
    options = parser.parse_args()
    known = list(dict.fromkeys(result["row"] for result in read_results(options.folder)))
    names = options.rows.split(",") if options.rows else known
    rows = {}
    for name in names:
        files = sorted((options.folder / folder_name(name)).glob(f"seed_*/{MODEL_NAME}"))
        seeds = [file.parent for file in files]  # of finished runs
        if seeds:  # the controls have no runs
            rows[name] = [read_run(seed) for seed in seeds]
    options.output.write_bytes(draw_traces(rows))
    print("| row | C at the end | KL | mean abs(KL - C), joint |")
    print("|---|---|---|---|")
    for name, runs in rows.items():
        ends = [np.mean([s[key][-1] for _, s in runs]) for key in ("capacity", "kl")]
        gaps = [
            np.abs(s["kl"] - s["capacity"])[s["step"] > c.copilot_warmup_steps] for c, s in runs
        ]
        gap = f"{np.concatenate(gaps).mean():.2f}" if any(map(len, gaps)) else "-"
        print(f"| {name} | " + " | ".join(f"{end:.1f}" for end in ends) + f" | {gap} |")


if __name__ == "__main__":
    main()
