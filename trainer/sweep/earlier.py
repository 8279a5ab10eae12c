"""Which results of an earlier call still count, so that a new one loses none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .sweep_file import Sweep
from .table import COMMAND, JSON_NAME, Result


def check_in_file(sweep: Sweep, output: Path, results: Iterable[Result]) -> None:
    """Refuse results of rows or seeds that the sweep's file lacks: its tables would lose them.

    Args:
        results: of table.json in `output`; controls count for nothing here.

    Raises:
        ValueError: a row was renamed or taken out, or a seed was.
    """
    for each in results:
        is_there = each["row"] in sweep.rows and each["seed"] in sweep.seeds
        if not is_there and not each.get("control"):
            raise ValueError(
                f"{output / JSON_NAME} has the row '{each['row']}' with seed {each['seed']}, which "
                "the sweep file lacks, so that the new tables would lose it. Add it there, choose "
                f"another output folder, or delete {JSON_NAME}; the runs are kept."
            )


def check_settings(sweep: Sweep, output: Path, results: Iterable[Result]) -> None:
    """Refuse results of other settings or data than the sweep's file has now.

    Raises:
        ValueError: the tables would show old numbers under new settings.
    """
    for each in results:
        if not each.get("control") and not _is_of(sweep, each):
            raise ValueError(
                f"{output / JSON_NAME} has the row '{each['row']}' with seed {each['seed']} as "
                f"this command trained it: {each[COMMAND]}. The sweep file says otherwise by now. "
                "Put back what was changed, or train the sweep."
            )


def joined(sweep: Sweep, results: Sequence[Result], earlier: Sequence[Result]) -> list[Result]:
    """The results so far, and of what an earlier call wrote whatever still counts.

    That is the result of a run that this call has not come to yet, or at which it failed (a folder
    that cannot be read for the moment, too little memory), if the run has the same settings.

    Args:
        results: of this call.
        earlier: of the call before, without failures.
    """
    kept = {(each["row"], each["seed"]): each for each in earlier if _is_of(sweep, each)}
    done = {(each["row"], each["seed"]) for each in results}
    here = [
        kept.get((each["row"], each["seed"]), each) if "error" in each else each for each in results
    ]
    return here + [each for place, each in kept.items() if place not in done]


def _is_of(sweep: Sweep, result: Result) -> bool:
    """Whether a result is of a run of the sweep as its file is now, as far as table.json says."""
    row, seed = result["row"], result["seed"]
    if row not in sweep.rows or seed not in sweep.seeds:
        return False
    command = sweep.command(row, seed)
    return result.get(COMMAND, command) == command
