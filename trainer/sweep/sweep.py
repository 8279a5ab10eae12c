"""The rows of an ablation, each with every seed, in one table.

The table is written after every run. A run that fails is listed with its reason, and the others are
trained all the same.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from comfyui_cldis.editing.facts import CODED_BY_OBJECTIVE
from comfyui_cldis.shortage import is_out_of_memory
from comfyui_cldis.wording import counted

from ..config.settings import TrainConfig
from ..data.cache import remove_files
from ..errors import OutputTaken
from ..monitor.metrics_file import STATS_NAME, read_records
from ..report.history import END_SHARE, last, series, used_dimensions
from ..run import train
from .columns import COPILOT, COUNTS, HOURS, QUALITY_COLUMNS, RUN_COLUMNS
from .earlier import check_run, of_another_length
from .figure import draw_results
from .paired import describe_differences, paired_differences
from .scores import score, score_keys
from .sweep_file import Sweep, folder_name
from .table import COMMAND, DATA, FIGURE_NAME, MARKDOWN_NAME, REFUSED, Result, table, write_table

FIGURE_COLUMNS = (
    "explained_variance_random_noise",
    "num_visible_monotone",
    "active_dims",
    "used_dimensions",
    "used",
)
DIFFUSION_COLUMNS = ("diffusion", "used", "encoder_kl", "num_directions", *QUALITY_COLUMNS)
ERROR_NAME = "error.txt"  # the traceback of a run that failed


def run_sweep(
    sweep: Sweep,
    output: Path,
    device: str,
    log: Callable[[str], None],
    trainer: Callable[..., Any] = train,
    on_results: Callable[[list[dict[str, Any]]], object] | None = None,
) -> list[dict[str, Any]] | None:
    """Train what is missing and return one result per run; None when a run was stopped.

    A finished run is not trained again, so the same call resumes an interrupted sweep. A run
    that fails gives a result with its reason under "error", and the next one follows; so does one
    whose folder holds a run of other settings (`check_run`).

    Args:
        on_results: called after every run with the results so far.

    Raises:
        ValueError: two rows would share a folder.
    """
    names = [folder_name(row) for row in sweep.rows]
    if len({*names}) < len(names):
        raise ValueError(f"Two rows would share a folder: {names}. Give them other names.")
    results: list[dict[str, Any]] = []
    for row, config in sweep.rows.items():
        for seed in sweep.seeds:
            settings = sweep.run_settings(row, seed, output, device)
            folder = settings.output
            log(f"== {row}, seed {seed}: {folder}")
            known = {
                "row": row,
                "seed": seed,
                DATA: settings.source_name,
                COMMAND: settings.command,
            }
            result: dict[str, Any] = {**known}
            try:
                check_run(settings)
                outcome = trainer(settings, log)
                if not outcome.finished:
                    return None
                result |= measure(folder, outcome.model, config)
                if sweep.metrics:
                    log(f"scoring {', '.join(sweep.metrics)}")
                    result |= scores(sweep, config, outcome.model, device, settings.cache)
                remove_files([folder / ERROR_NAME])  # of an earlier call
            except Exception as error:  # whatever it is, the other rows are worth having
                reason = " ".join(str(error).split()) or "no reason given"
                if is_out_of_memory(error):
                    reason = f"{reason.rstrip('.')}. {less_memory(config)}"
                reason = f"{type(error).__name__}: {reason}"
                result = {**known, "error": reason}
                if isinstance(error, OutputTaken):
                    result[REFUSED] = True
                log(f"{row}, seed {seed} failed: {reason}")
                with suppress(OSError):  # the reason is in the table as well
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / ERROR_NAME).write_text(
                        traceback.format_exc(), encoding="utf-8", errors="backslashreplace"
                    )
            results.append(result)
            if on_results is not None:
                on_results(results)
    return results


def less_memory(config: TrainConfig) -> str:
    """What to do where a row ran out of memory, in a sentence without its full stop."""
    if config.objective.compares_images:  # its run does not go on in smaller parts
        return (
            "Train the sweep in a new output folder, with accumulation_steps = 2 or more in its "
            "file or a smaller preset"
        )
    return "Set accumulation_steps = 2 or more in the file of the sweep"


def scores(
    sweep: Sweep, config: TrainConfig, model: Path, device: str, cache: Path | None = None
) -> dict[str, Any]:
    """Labelled scores of a model's code, and of its co-pilot's where there are two.

    With only the co-pilot trained both are its; without distillation the co-pilot has none, nor
    where its encoder alone does not give its code. `cache` is as of `score`.
    """
    loop = config.loop
    copilot: dict[str, Any] = {}
    has_code = config.objective.name not in CODED_BY_OBJECTIVE
    if has_code and (loop.copilot_only or loop.distillation_weight > 0):
        copilot = score(model, "copilot", sweep.data, sweep.metrics, device, cache)
    result = copilot
    if not loop.copilot_only:
        result = score(model, "semantic", sweep.data, sweep.metrics, device, cache)
    beside = {COPILOT + key: value for key, value in copilot.items() if key not in COUNTS}
    return result | beside


def control_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """The scores of the two controls, as rows of the table: an oracle code and its rotation."""
    if not sweep.metrics:
        return []
    from comfyui_cldis.datasets.registry import factor_space
    from comfyui_cldis.metrics import FactorRepresentation, controls

    sizes = tuple(factor_space(sweep.data).sizes)
    source = FactorRepresentation(sizes, lambda factors: factors.astype(np.float64))
    found = controls(source, sweep.metrics, fast=True)
    return [
        {"row": name.replace("_", " "), "seed": 0, "control": True, **found[name]} for name in found
    ]


def measure(folder: Path, model: Path, config: TrainConfig) -> dict[str, Any]:
    """The columns of one run, from its statistics and the header of its model.

    A run of the co-pilot alone has None where the untrained diffusion branch would be measured.

    Raises:
        OutputTaken: a run whose length was changed on the way.
    """
    from comfyui_cldis.checkpoint import read_header
    from comfyui_cldis.checkpoint.quality_text import quality_figures

    records = read_records(folder / STATS_NAME)
    end = last(records, END_SHARE)
    values: dict[str, Any] = {name: mean_or_none(series(end, name)) for name in RUN_COLUMNS}
    header = read_header(model)
    lengths = {header.facts.training.planned_steps, *(each.planned_steps for each in records)}
    changed = sorted(each for each in lengths if each not in (None, config.steps))
    if changed:
        raise of_another_length(folder, counted(changed[0], "step"), config.steps)
    figures = quality_figures(header.facts.quality, header.directions)
    values["used_dimensions"] = used_dimensions(records)
    values["num_directions"] = len(header.directions)
    values |= {name: figures.get(name) for name in QUALITY_COLUMNS}
    seconds = records[-1].number("seconds") if records else None  # finer than the header's hours
    values[HOURS] = None if seconds is None else round(seconds / 3600, 6)
    if not config.loop.has_capacity:
        values["capacity"] = None
    if config.loop.copilot_only:
        values |= dict.fromkeys(DIFFUSION_COLUMNS)
    return values


def mean_or_none(values: np.ndarray) -> float | None:
    """The mean of some values; None of none."""
    return float(values.mean()) if len(values) else None


def publish(
    sweep: Sweep, output: Path, results: Sequence[Result], log: Callable[[str], None]
) -> str:
    """Write table.md, table.json and table.png of the results so far; return the first.

    A figure that cannot be drawn is left out, and `log` says so.
    """
    differences = paired_differences(results, sweep.baselines, sweep.scores)
    text = table(
        results,
        sweep.columns,
        data=Path(sweep.data).name,
        preset=Path(sweep.preset).name,
        seeds=sweep.seeds,
        has_scores=bool(sweep.metrics),
    )
    if differences:
        text += "\n" + describe_differences(differences)
    shares = [key for key in score_keys(sweep.metrics) if key not in COUNTS]
    groups = [shares, [COPILOT + key for key in shares], FIGURE_COLUMNS]
    figure = None
    try:
        figure = draw_results(results, groups)
    except Exception as error:  # whatever it is, the table and the other runs are worth having
        reason = f"{type(error).__name__}: {error}"
        log(f"{FIGURE_NAME} cannot be drawn ({reason}). {MARKDOWN_NAME} has the same numbers.")
    write_table(output, results, text, figure, differences)
    return text
