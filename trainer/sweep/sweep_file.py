"""What a sweep file says: the rows of an ablation, the seeds, and what they are scored with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comfyui_cldis.typed_path import expand
from comfyui_cldis.wording import suggest

from ..config.settings import TrainConfig, flatten, load_preset, read_toml
from ..run import RunSettings
from .columns import COLUMNS, COPILOT, COUNTS
from .scores import score_keys

CONTROLS = ("oracle", "random rotation")  # rows that every table with scores has beside its own
CACHE_NAME = "cache"  # the decoded images of all runs
KEYS = ("data", "preset", "seeds", "metrics", "baseline", "settings", "rows")


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
        baselines: rows that the scores of all others are compared with, seed by seed.
    """

    data: str
    preset: str
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    rows: Mapping[str, TrainConfig]
    baselines: tuple[str, ...] = ()

    @property
    def scores(self) -> tuple[str, ...]:
        """Keys of the scores: those of the code, then those of the co-pilot's."""
        keys = score_keys(self.metrics)
        return (*keys, *(COPILOT + key for key in keys if key not in COUNTS))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table: the scores first."""
        return (*self.scores, *COLUMNS)

    def run_settings(self, row: str, seed: int, output: Path, device: str = "cpu") -> RunSettings:
        """How a row is trained with a seed: in a folder of its own, with the images of all."""
        return RunSettings(
            data=self.data,
            output=output / folder_name(row) / f"seed_{seed}",
            config=replace(self.rows[row], seed=seed),
            device=device,
            preset=Path(self.preset).name,
            use_tensorboard=False,
            cache=output / CACHE_NAME,
        )


def folder_name(row: str) -> str:
    """The row's name as a folder name."""
    return re.sub(r"[^a-z0-9]+", "_", row.lower()).strip("_") or "row"


def load_sweep(path: Path) -> Sweep:
    """Read a sweep from TOML: the keys are `KEYS`, [settings] for all rows, [rows.NAME] for each.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not TOML, a key that is missing or unknown, a setting that is refused, two
            rows that would train the same, a row named as a control, or a baseline that is no row.
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
    are_seeds = isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds)
    if not are_seeds or not seeds:
        raise ValueError(f"{path.name} has seeds {seeds!r}. Give a list of whole numbers from 0.")
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
    for name in CONTROLS:
        if name in rows:
            raise ValueError(
                f"Row '{name}' of {path.name} has the name of a control, with which the table "
                "would mix it up. Give it another name, and its folder too, if there is one."
            )
    metrics = values.get("metrics", [])
    if not isinstance(metrics, list) or not all(isinstance(name, str) for name in metrics):
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
            for seed in seeds:  # what is refused is refused before the first run
                replace(configs[name], seed=seed)
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
    baselines = _baselines(values.get("baseline", []), [*configs], bool(metrics), path.name)
    return Sweep(expand(values["data"]), preset, tuple(seeds), tuple(metrics), configs, baselines)


def _baselines(value: Any, rows: Sequence[str], has_metrics: bool, file: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"{file} has the baseline {value!r}. Give the name of a row, or a list of names."
        )
    if len({*names}) < len(names):
        raise ValueError(f"{file} has the baselines {names!r}. Name each of them once.")
    if names and not has_metrics:
        raise ValueError(
            f"{file} has a baseline, but no metrics whose scores could be compared with it. Add "
            "`metrics`, or remove `baseline`."
        )
    for name in names:
        if name not in rows:
            raise ValueError(
                f"The baseline '{name}' of {file} is none of its rows.{suggest(name, rows)}"
            )
    return tuple(names)
