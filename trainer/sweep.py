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
KEYS = ("data", "preset", "seeds", "settings", "rows")


@dataclass(frozen=True)
class Sweep:
    """What a sweep trains.

    Attributes:
        data, preset: as on the command line of a run.
        seeds: every row is trained with each.
        rows: name of the row -> its configuration, without the seed.
    """

    data: str
    preset: str
    seeds: tuple[int, ...]
    rows: Mapping[str, TrainConfig]


def load_sweep(path: Path) -> Sweep:
    """Read a sweep from TOML: data, preset, seeds, [settings] for all rows, [rows.NAME] for each.

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
    preset = values.get("preset", "tiny32")
    base = load_preset(preset).with_values(flatten(values.get("settings", {})))
    configs = {}
    for name, settings in rows.items():
        try:
            configs[name] = base.with_values(flatten(settings))
        except ValueError as error:
            raise ValueError(f"Row '{name}' of {path.name}: {error}") from error
    return Sweep(values["data"], preset, tuple(seeds), configs)


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
            results.append({"row": row, "seed": seed, **measure(folder, outcome.model)})
    return results


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
    lines = [
        f"Rows: mean ± sd over seeds {list(sweep.seeds)}; data {Path(sweep.data).name}, preset "
        f"{Path(sweep.preset).name}. Losses, KL, capacity and information: mean of the last tenth "
        "of the run; nats per image.",
        "",
        "| row | " + " | ".join(name.replace("_", " ") for name in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for row in sweep.rows:
        runs = [result for result in results if result["row"] == row]
        cells = [_cell([run[name] for run in runs]) for name in COLUMNS]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float | None]) -> str:
    known = [float(value) for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "not measured"
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
    text = table(results, sweep)
    (arguments.output / "table.json").write_text(json.dumps(results, indent=2) + "\n")
    (arguments.output / "table.md").write_text(text, encoding="utf-8")
    say(f"{text}Wrote {arguments.output / 'table.md'} and table.json.")
    return 0
