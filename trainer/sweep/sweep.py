"""The rows of an ablation, each with every seed, in one table.

The table is written after every run. A run that fails is listed with its reason, and the others are
trained all the same.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comfyui_cldis.typed_path import expand

from ..config.settings import TrainConfig, flatten, load_preset, read_toml
from ..monitor.metrics_file import STATS_NAME, read_records
from ..report.history import END_SHARE, last, series, used_dimensions
from ..run import RunSettings, train
from .columns import COPILOT, HOURS
from .figure import draw_results
from .scores import score, score_keys
from .table import Result, table, write_table

RUN_COLUMNS = ("diffusion", "reconstruction", "kl", "capacity", "used", "encoder_kl")
QUALITY_COLUMNS = (
    "explained_variance_random_noise",
    "explained_variance_preview",
    "psnr_inverted_noise_db",
    "num_visible_monotone",
)
COLUMNS = (*RUN_COLUMNS, "used_dimensions", "num_directions", *QUALITY_COLUMNS, HOURS)
KEYS = ("data", "preset", "seeds", "metrics", "settings", "rows")
COUNTS = ("active_dims",)  # scores that are no shares
FIGURE_COLUMNS = (
    "explained_variance_random_noise",
    "num_visible_monotone",
    "active_dims",
    "used_dimensions",
    "used",
)
DIFFUSION_COLUMNS = ("diffusion", "used", "encoder_kl", "num_directions", *QUALITY_COLUMNS)
ERROR_NAME = "error.txt"  # the traceback of a run that failed


@dataclass(frozen=True)
class Sweep:
    """What a sweep trains.

    Attributes:
        data, preset: as on the command line of a run.
        seeds: every row is trained with each.
        metrics: labelled metrics (`comfyui_cldis.metrics`) that score each model's mean codes on
            `data`, with the fast protocol: the semantic code, and beside it the co-pilot's, from
            which it was distilled. A row that trains only one of them is scored on that.
        rows: name of the row -> its configuration, without the seed.
    """

    data: str
    preset: str
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    rows: Mapping[str, TrainConfig]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table: the scores first."""
        keys = score_keys(self.metrics)
        return (*keys, *(COPILOT + key for key in keys if key not in COUNTS), *COLUMNS)


def load_sweep(path: Path) -> Sweep:
    """Read a sweep from TOML: data, preset, seeds, metrics, [settings] for all, [rows.NAME] each.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not TOML, a key that is missing or unknown, a setting that is refused, or two
            rows that would train the same.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no sweep file {path}. Give the path of a .toml file.")
    values = read_toml(path)
    unknown = sorted({*values} - {*KEYS})
    if unknown:
        raise ValueError(f"{path.name} has unknown keys {unknown}. Allowed: {', '.join(KEYS)}.")
    rows, seeds = values.get("rows"), values.get("seeds", [0])
    if not isinstance(rows, dict) or not rows or "data" not in values:
        raise ValueError(f"{path.name} needs `data` and at least one [rows.NAME]. Add them.")
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int for s in seeds):
        raise ValueError(f"{path.name} has seeds {seeds!r}. Give a list of whole numbers.")
    if len({*seeds}) < len(seeds):
        raise ValueError(f"{path.name} has seeds {seeds!r}. Name each of them once.")
    tables = [values.get("settings", {}), *rows.values()]
    preset = values.get("preset", "tiny32")
    are_texts = isinstance(values["data"], str) and isinstance(preset, str)
    if not all(isinstance(table, dict) for table in tables) or not are_texts:
        raise ValueError(
            f"{path.name}: `data` and `preset` must be texts, `settings` and every row a table "
            "such as [rows.NAME]. Correct it."
        )
    if any("seed" in table for table in tables):
        raise ValueError(
            f"{path.name} sets `seed` in a row or in `settings`, but the seeds of all rows come "
            "from `seeds`. Remove it, and write for example seeds = [0, 1, 2] at the top."
        )
    metrics = values.get("metrics", [])
    if not isinstance(metrics, list):
        raise ValueError(f"{path.name} has metrics {metrics!r}. Give a list of names.")
    if metrics:
        from comfyui_cldis.metrics.evaluation import checked_names

        metrics = checked_names(metrics)
    preset = expand(preset)
    base = load_preset(preset).with_values(flatten(values.get("settings", {})))
    configs: dict[str, TrainConfig] = {}
    for name, settings in rows.items():
        try:
            configs[name] = base.with_values(flatten(settings))
        except ValueError as error:
            raise ValueError(f"Row '{name}' of {path.name}: {error}") from error
        twin = next(
            (each for each in configs if each != name and configs[each] == configs[name]), None
        )
        if twin is not None:
            raise ValueError(
                f"Rows '{twin}' and '{name}' of {path.name} have the same settings, so their runs "
                "would be the same. Change a setting of one, or remove it."
            )
    return Sweep(expand(values["data"]), preset, tuple(seeds), tuple(metrics), configs)


def folder_name(row: str) -> str:
    """The row's name as a folder name."""
    return re.sub(r"[^a-z0-9]+", "_", row.lower()).strip("_") or "row"


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
    that fails gives a result with its reason under "error", and the next one follows.

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
            folder = output / folder_name(row) / f"seed_{seed}"
            log(f"== {row}, seed {seed}: {folder}")
            settings = RunSettings(
                data=sweep.data,
                output=folder,
                config=replace(config, seed=seed),
                device=device,
                preset=Path(sweep.preset).name,
                use_tensorboard=False,
                cache=output / "cache",
            )
            result: dict[str, Any] = {"row": row, "seed": seed}
            try:
                outcome = trainer(settings, log)
                if not outcome.finished:
                    return None
                result |= measure(folder, outcome.model, config)
                if sweep.metrics:
                    log(f"scoring {', '.join(sweep.metrics)}")
                    result |= scores(sweep, config, outcome.model, device)
            except Exception as error:  # whatever it is, the other rows are worth having
                reason = " ".join(str(error).split()) or "no reason given"
                result = {"row": row, "seed": seed, "error": f"{type(error).__name__}: {reason}"}
                log(f"{row}, seed {seed} failed: {result['error']}")
                folder.mkdir(parents=True, exist_ok=True)
                (folder / ERROR_NAME).write_text(
                    traceback.format_exc(), encoding="utf-8", errors="backslashreplace"
                )
            results.append(result)
            if on_results is not None:
                on_results(results)
    return results


def scores(sweep: Sweep, config: TrainConfig, model: Path, device: str) -> dict[str, Any]:
    """Labelled scores of a model's code, and of its co-pilot's where there are two.

    With only the co-pilot trained both are its; without distillation the co-pilot has none.
    """
    loop = config.loop
    copilot: dict[str, Any] = {}
    if loop.copilot_only or loop.distillation_weight > 0:
        copilot = score(model, "copilot", sweep.data, sweep.metrics, device)
    result = copilot
    if not loop.copilot_only:
        result = score(model, "semantic", sweep.data, sweep.metrics, device)
    beside = {COPILOT + key: value for key, value in copilot.items() if key not in COUNTS}
    return result | beside


def control_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """The scores of the two controls, as rows of the table: an oracle code and its rotation."""
    if not sweep.metrics:
        return []
    from comfyui_cldis.datasets.registry import open_factor_data
    from comfyui_cldis.metrics import FactorRepresentation, controls

    data = open_factor_data(sweep.data, next(iter(sweep.rows.values())).model.image_size)
    sizes = tuple(data.space.sizes)
    source = FactorRepresentation(sizes, lambda factors: factors.astype(np.float64))
    found = controls(source, sweep.metrics, fast=True)
    return [
        {"row": name.replace("_", " "), "seed": 0, "control": True, **found[name]} for name in found
    ]


def measure(folder: Path, model: Path, config: TrainConfig) -> dict[str, Any]:
    """The columns of one run, from its statistics and the header of its model.

    A run of the co-pilot alone has None where the untrained diffusion branch would be measured.
    """
    from comfyui_cldis.checkpoint import read_header
    from comfyui_cldis.checkpoint.quality_text import quality_figures

    records = read_records(folder / STATS_NAME)
    end = last(records, END_SHARE)
    values: dict[str, Any] = {name: mean_or_none(series(end, name)) for name in RUN_COLUMNS}
    header = read_header(model)
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


def publish(sweep: Sweep, output: Path, results: Sequence[Result]) -> str:
    """Write table.md, table.json and table.png of the results so far; return the first."""
    text = table(
        results,
        sweep.columns,
        data=Path(sweep.data).name,
        preset=Path(sweep.preset).name,
        seeds=sweep.seeds,
        has_scores=bool(sweep.metrics),
    )
    shares = [key for key in score_keys(sweep.metrics) if key not in COUNTS]
    groups = [shares, [COPILOT + key for key in shares], FIGURE_COLUMNS]
    write_table(output, results, text, draw_results(results, groups))
    return text


def pending(sweep: Sweep, results: Sequence[Result], earlier: Sequence[Result]) -> Iterator[Result]:
    """What an earlier call wrote of the runs that this one has not come to yet."""
    done = {(each["row"], each["seed"]) for each in results}
    for each in earlier:
        place = (each["row"], each["seed"])
        if place not in done and each["row"] in sweep.rows and each["seed"] in sweep.seeds:
            yield each
