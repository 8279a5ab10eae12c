"""`python -m trainer sweep FILE`: the rows of an ablation, each with every seed, in one table."""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .config import TrainConfig, load_preset, read_toml
from .run import RunSettings, train
from .stats import STATS_NAME

LAST_SHARE = 0.1  # of the records, averaged for the columns that come from the statistics
USED_NATS = 0.1
RUN_COLUMNS = ("diffusion", "reconstruction", "kl", "capacity", "information", "encoder_kl")
QUALITY_COLUMNS = (
    "explained_variance_random_noise",
    "explained_variance_preview",
    "psnr_inverted_noise_db",
    "num_visible_monotone",
)
COLUMNS = (*RUN_COLUMNS, "used_dimensions", "num_directions", *QUALITY_COLUMNS, "hours")
KEYS = ("data", "preset", "seeds", "metrics", "settings", "rows")
SCORES_NAME = "scores.json"


@dataclass(frozen=True)
class Sweep:
    """What a sweep trains.

    Attributes:
        data, preset: as on the command line of a run.
        seeds: every row is trained with each.
        metrics: labelled metrics (`comfyui_cldis.metrics`) that score each model's mean codes on
            `data`, with the fast protocol; a row that trains the co-pilot alone is scored on its.
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
        return (*score_keys(self.metrics), *COLUMNS)


def score_keys(metrics: Sequence[str]) -> list[str]:
    """The numbers that metrics give."""
    if not metrics:
        return []
    from comfyui_cldis.metrics import METRICS

    return [key for name in metrics for key in METRICS[name].keys]


def load_sweep(path: Path) -> Sweep:
    """Read a sweep from TOML: data, preset, seeds, metrics, [settings] for all, [rows.NAME] each.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not TOML, a key that is missing or unknown, or a setting that is refused.
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
    tables = [values.get("settings", {}), *rows.values()]
    if not all(isinstance(table, dict) for table in tables) or type(values["data"]) is not str:
        raise ValueError(
            f"{path.name}: `data` must be a text, `settings` and every row a table such as "
            "[rows.NAME]. Correct it."
        )
    metrics = values.get("metrics", [])
    if not isinstance(metrics, list):
        raise ValueError(f"{path.name} has metrics {metrics!r}. Give a list of names.")
    if metrics:
        from comfyui_cldis.metrics.evaluation import checked_names

        metrics = checked_names(metrics)
    preset = values.get("preset", "tiny32")
    base = load_preset(preset).with_values(flatten(values.get("settings", {})))
    configs = {}
    for name, settings in rows.items():
        try:
            configs[name] = base.with_values(flatten(settings))
        except ValueError as error:
            raise ValueError(f"Row '{name}' of {path.name}: {error}") from error
    return Sweep(values["data"], preset, tuple(seeds), tuple(metrics), configs)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys: {"loop": {"feedback": "ramp"}} -> {"loop.feedback": "ramp"}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def folder_name(row: str) -> str:
    """The row's name as a folder name."""
    return re.sub(r"[^a-z0-9]+", "_", row.lower()).strip("_") or "row"


def run_sweep(
    sweep: Sweep,
    output: Path,
    device: str,
    say: Callable[[str], None],
    trainer: Callable[..., Any] = train,
) -> list[dict[str, Any]] | None:
    """Train what is missing and return one result per run; None when a run was stopped.

    A finished run is not trained again, so the same call goes on with an interrupted sweep.
    """
    names = [folder_name(row) for row in sweep.rows]
    if len({*names}) < len(names):
        raise ValueError(f"Two rows would share a folder: {names}. Give them other names.")
    results = []
    for row, config in sweep.rows.items():
        for seed in sweep.seeds:
            folder = output / folder_name(row) / f"seed_{seed}"
            say(f"== {row}, seed {seed}: {folder}")
            settings = RunSettings(
                data=sweep.data,
                output=folder,
                config=replace(config, seed=seed),
                device=device,
                preset=Path(sweep.preset).name,
                use_tensorboard=False,
                cache=output / "cache",
            )
            outcome = trainer(settings, say)
            if not outcome.finished:
                return None
            result = {"row": row, "seed": seed, **measure(folder, outcome.model)}
            if sweep.metrics:
                say(f"scoring {', '.join(sweep.metrics)}")
                result |= score(sweep, config, outcome.model, device)
            results.append(result)
    return results


def score(sweep: Sweep, config: TrainConfig, model: Path, device: str) -> dict[str, Any]:
    """Labelled scores of a model (fast protocol, mean codes); kept beside it for the next time."""
    from comfyui_cldis.checkpoint import load_checkpoint
    from comfyui_cldis.evaluating import evaluate_model

    path = model.parent / SCORES_NAME
    asked = {"metrics": list(sweep.metrics), "model": model.stat().st_mtime_ns}
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["asked"] == asked:
            return stored["scores"]
    loaded = load_checkpoint(model)
    loaded.networks.to(device)
    found = evaluate_model(
        loaded,
        sweep.data,
        sweep.metrics,
        codes="copilot" if config.loop.copilot_only else "semantic",
        fast=True,
        with_controls=False,
        with_sampled=False,
        cache_dir=model.parent,
    )
    scores = {key: found[key] for key in score_keys(sweep.metrics)}
    path.write_text(json.dumps({"asked": asked, "scores": scores}) + "\n", encoding="utf-8")
    return scores


def control_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """The scores of the two controls, as rows of the table: an oracle code and its rotation."""
    if not sweep.metrics:
        return []
    import numpy as np

    from comfyui_cldis.metrics import FactorRepresentation, controls

    from .data.factors import open_factor_data

    data = open_factor_data(sweep.data, next(iter(sweep.rows.values())).model.image_size)
    sizes = tuple(data.space.sizes)
    source = FactorRepresentation(sizes, lambda factors: factors.astype(np.float64))
    found = controls(source, sweep.metrics, fast=True)
    return [{"row": name.replace("_", " "), "seed": 0, **found[name]} for name in found]


def measure(folder: Path, model: Path) -> dict[str, Any]:
    """The columns of one run, from its statistics and the header of its model."""
    from comfyui_cldis.checkpoint import read_header

    lines = (folder / STATS_NAME).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    last = records[-max(1, round(LAST_SHARE * len(records))) :]
    values: dict[str, Any] = {
        name: statistics.fmean(record[name] for record in last) for name in RUN_COLUMNS
    }
    header = read_header(model)
    facts: dict[str, Any] = dict(header.facts)
    values["used_dimensions"] = sum(v > USED_NATS for v in last[-1]["kl_per_dimension"])
    values["num_directions"] = len(header.directions)
    values |= {name: facts.get("quality", {}).get(name) for name in QUALITY_COLUMNS}
    values["hours"] = facts.get("training", {}).get("hours")
    return values


def table(results: Sequence[Mapping[str, Any]], sweep: Sweep) -> str:
    """Markdown: one line per row, mean and standard deviation over the seeds (n - 1)."""
    text = (
        f"Rows: mean ± sd over seeds {list(sweep.seeds)}; data {Path(sweep.data).name}, preset "
        f"{Path(sweep.preset).name}. Losses, KL, capacity and information: mean of the last tenth "
        "of the run; nats per image. A dash: not measured."
    )
    if sweep.metrics:
        text += " Scores: mean codes, fast protocol; the last two rows are the controls."
    lines = [
        text,
        "",
        "| row | " + " | ".join(name.replace("_", " ") for name in sweep.columns) + " |",
        "|---" * (len(sweep.columns) + 1) + "|",
    ]
    for row in dict.fromkeys(result["row"] for result in results):
        runs = [result for result in results if result["row"] == row]
        cells = [_cell([run.get(name) for run in runs]) for name in sweep.columns]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float | None]) -> str:
    known = [float(value) for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "-"
    mean = f"{statistics.fmean(known):.4g}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.2g}"


def main(argv: Sequence[str], say: Callable[[str], None]) -> int:
    """The command; 0 when all rows are done, 130 when a run was stopped."""
    from .devices import choose_device

    parser = argparse.ArgumentParser(
        prog="python -m trainer sweep",
        description="Train the rows of an ablation and write table.md and table.json. The same "
        "command again goes on where it was stopped.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a sweep as .toml, see sweeps/")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    arguments = parser.parse_args(argv)
    sweep = load_sweep(arguments.file)
    results = run_sweep(sweep, arguments.output, choose_device(arguments.device), say)
    if results is None:
        say("The sweep was stopped. Run the same command to go on.")
        return 130
    results += control_rows(sweep)
    text = table(results, sweep)
    (arguments.output / "table.json").write_text(json.dumps(results, indent=2) + "\n")
    (arguments.output / "table.md").write_text(text, encoding="utf-8")
    say(f"{text}Wrote {arguments.output / 'table.md'} and table.json.")
    return 0
