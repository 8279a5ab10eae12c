"""The table of a sweep: table.md, table.json and table.png, written after every run.

A result is a mapping with "row" and "seed", the data's name, the command that trains the run, and
either numbers, or "error" with the reason why the run failed. The two controls have "control" set;
they come last. table.json is a list of them, and behind them, where the sweep has baselines,
{"differences": [...]} with the fields of `Difference`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from comfyui_cldis.atomic_write import write_bytes

from ..data.cache import remove_files
from ..training.record import finite
from .columns import HOURS, column_name, in_cell, time_unit
from .paired import Difference

Result = Mapping[str, Any]
COMMAND = "command"  # key of the command that trains a run
DATA = "data"  # key of the data's name
REFUSED = "is_refused"  # key of a failure whose folder cannot be used
JSON_NAME, MARKDOWN_NAME, FIGURE_NAME = "table.json", "table.md", "table.png"


def table(
    results: Sequence[Result],
    columns: Sequence[str],
    *,
    data: str,
    preset: str,
    seeds: Sequence[int],
    has_scores: bool = False,
) -> str:
    """Markdown: one line per row, mean and standard deviation over the seeds (n - 1), failures.

    Args:
        columns: keys of the results, in the order of the table, where they have names; hours are
            shown in the unit that suits them.
        has_scores: whether there are labelled scores, so that the text says how they were taken.
    """
    text = (
        f"Rows: mean ± sd over seeds {list(seeds)}, n of them; data {data}, preset {preset}. "
        "Losses, KL, capacity and used share: mean of the last tenth of the run; nats per image. "
        "Time: of the training steps. PSNR with inverted noise says nothing of the code. A dash: "
        "not measured, or it plays no part in the row."
    )
    if has_scores:
        text += (
            " Scores: mean codes, fast protocol; the code was distilled from the co-pilot's. The "
            "last two rows are the controls."
        )
    done = [result for result in results if "error" not in result]
    times = [value for result in done if (value := finite(result.get(HOURS))) is not None]
    unit, per_hour = time_unit(times)
    headings = [f"time, {unit}" if key == HOURS else column_name(key) for key in columns]
    headings = ["row", *(["n"] if len(seeds) > 1 else []), *headings]
    lines = [text, "", "| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for row in dict.fromkeys(result["row"] for result in done):
        runs = [result for result in done if result["row"] == row]
        cells = [
            _cell([run.get(key) for run in runs], per_hour if key == HOURS else 1.0)
            for key in columns
        ]
        if len(seeds) > 1:
            cells.insert(0, "" if runs[0].get("control") else str(len(runs)))
        lines.append(f"| {in_cell(row)} | " + " | ".join(cells) + " |")
    failed = [result for result in results if "error" in result]
    if failed:
        lines += ["", "Failed, and not in the table:", ""]
        lines += [f"- {each['row']}, seed {each['seed']}: {each['error']}" for each in failed]
    return "\n".join(lines) + "\n"


def write_table(
    folder: Path,
    results: Sequence[Result],
    text: str,
    figure: bytes | None = None,
    differences: Sequence[Difference] = (),
) -> None:
    """Put the three files in place, each in one move, so that a kill leaves whole ones.

    Args:
        figure: content of table.png; None when there is nothing to draw; an older one goes.
        differences: between rows of the results; for table.json.
    """
    compared = [{"differences": [asdict(each) for each in differences]}] if differences else []
    contents = {
        JSON_NAME: (json.dumps([*results, *compared], indent=2) + "\n").encode(),
        MARKDOWN_NAME: text.encode(errors="backslashreplace"),  # errors may name odd files
        **({FIGURE_NAME: figure} if figure is not None else {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    if figure is None:
        remove_files([folder / FIGURE_NAME])


def read_results(folder: Path) -> list[Result]:
    """The results of an earlier call, without failures and controls; none without a table.

    Raises:
        ValueError: table.json is damaged.
    """
    return of_runs(read_table(folder))


def of_runs(results: Sequence[Result]) -> list[Result]:
    """Those of runs that were done, without failures and controls."""
    return [each for each in results if "error" not in each and not each.get("control")]


def read_table(folder: Path) -> list[Result]:
    """The results of an earlier call with its failures and controls; none without a table.

    Raises:
        ValueError: table.json is damaged.
    """
    path = folder / JSON_NAME
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [each for each in found if {"row", "seed"} <= each.keys()]
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it; the runs are kept.") from error


def _cell(values: Sequence[Any], factor: float) -> str:
    known = [factor * float(value) for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "-"
    mean = f"{statistics.fmean(known):.4g}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.2g}"
