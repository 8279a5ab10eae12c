"""Which results of an earlier call still count, so that a new one loses and relabels none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from comfyui_cldis.wording import counted

from ..errors import OutputTaken
from ..export import MODEL_NAME
from ..run import RunSettings
from ..training.checkpoint import (
    CONFIG_NAME,
    as_trained,
    check_config,
    read_config,
    state_files,
)
from .sweep_file import Sweep
from .table import COMMAND, DATA, JSON_NAME, REFUSED, Result


def check_in_file(sweep: Sweep, output: Path, results: Iterable[Result]) -> None:
    """Refuse results of rows or seeds that the sweep's file lacks: its tables would lose them.

    Args:
        results: of table.json in `output`, without failures and controls.

    Raises:
        ValueError: a row was renamed or taken out, or a seed was.
    """
    for each in results:
        if each["row"] not in sweep.rows or each["seed"] not in sweep.seeds:
            raise ValueError(
                f"{output / JSON_NAME} has the row '{each['row']}' with seed {each['seed']}, which "
                "the sweep file lacks, so that the new tables would lose it. Add it there, choose "
                f"another output folder, or delete {JSON_NAME}; the runs are kept."
            )


def check_settings(
    sweep: Sweep, output: Path, results: Iterable[Result], *, is_training: bool
) -> None:
    """Refuse results whose runs have other settings than the sweep's file has now.

    A run whose settings cannot be read stops no other.

    Args:
        is_training: whether the runs are opened next, so that one that is gone is trained anew,
            and one of other images is found out. Else the first are compared by the command that
            trained them, and the others by the name of the data.

    Raises:
        OutputTaken: there is a run of other settings.
        ValueError: there is a result of other settings or data.
    """
    for each in results:
        settings = sweep.run_settings(each["row"], each["seed"], output)
        is_there = has_run(settings.output)
        if is_there:
            try:
                check_run(settings)
            except OutputTaken:
                raise
            except ValueError:  # a damaged config.json, which the run itself will tell of
                continue
        if is_training:
            continue
        now = settings.source_name
        if (before := each.get(DATA, now)) != now:
            raise ValueError(
                f"{output / JSON_NAME} has results on {before}, and the sweep asks for {now}. "
                "Put the data back in the sweep file, or choose another output folder."
            )
        if not is_there and each.get(COMMAND, settings.command) != settings.command:
            raise ValueError(
                f"{output / JSON_NAME} has the row '{each['row']}' with seed {each['seed']} of "
                "other settings, and its run is gone. Put back what was changed in the sweep "
                f"file, or delete {JSON_NAME}."
            )


def check_run(settings: RunSettings) -> None:
    """Refuse a folder whose run has other settings or another number of steps.

    A run whose length is changed keeps warm-ups and a schedule of C that are not those of a run
    that had this length from the start, so one mean of both would mean nothing.

    Raises:
        OutputTaken: the folder holds states or a model of such a run.
        ValueError: they are there, and config.json is damaged.
    """
    folder, steps = settings.output, settings.config.steps
    if not has_run(folder) or not (folder / CONFIG_NAME).is_file():
        return
    stored = read_config(folder).config.steps
    if stored != steps:
        raise of_another_length(folder, counted(stored, "step"), steps)
    check_config(folder, as_trained(folder, settings.config), settings.source)


def of_another_length(folder: Path, length: str, steps: int) -> OutputTaken:
    """Args: length: what the run was planned for, such as "20 steps"; steps: what is asked for."""
    return OutputTaken(
        f"{folder} holds a run that was planned for {length}, and the sweep asks for {steps:,}: "
        "with its length changed it is not comparable with the others.",
        "Delete the folder to train it anew",
    )


def has_run(folder: Path) -> bool:
    """Whether states or a model lie in the folder of a run."""
    return bool(state_files(folder)) or (folder / MODEL_NAME).is_file()


def joined(
    sweep: Sweep, output: Path, results: Sequence[Result], earlier: Sequence[Result]
) -> list[Result]:
    """The results so far, and of what an earlier call wrote whatever still counts.

    That is the result of a run that this call has not come to yet, or at which it failed for a
    reason that says nothing of the result (no space, too little memory). Where the folder was
    refused the reason takes its place.

    Args:
        results: of this call.
        earlier: of the call before, without failures, of runs that `check_settings` took.
    """
    kept = {
        (each["row"], each["seed"]): each
        for each in earlier
        if has_run((settings := sweep.run_settings(each["row"], each["seed"], output)).output)
        or each.get(COMMAND, settings.command) == settings.command
    }
    done = {(each["row"], each["seed"]) for each in results}
    here = [
        kept.get((each["row"], each["seed"]), each)
        if "error" in each and not each.get(REFUSED)
        else each
        for each in results
    ]
    return here + [each for place, each in kept.items() if place not in done]
