"""`cldis sweep FILE`: trains an ablation and keeps its table up to date."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from comfyui_cldis.wording import command_line, counted

from ..data.cache import remove_unfinished
from ..lock import locked
from ..run import train
from ..training.distributed import choose_device, num_launched
from .earlier import check_in_file, check_settings, joined
from .sweep import control_rows, publish, run_sweep
from .sweep_file import CACHE_NAME, Sweep, load_sweep
from .table import FIGURE_NAME, JSON_NAME, MARKDOWN_NAME, Result, of_runs, read_results, read_table


def run(
    arguments: Namespace, log: Callable[[str], None], trainer: Callable[..., Any] = train
) -> int:
    """Train what is missing of a sweep; 0 when all rows are done, 1 when some failed, 130 when a
    run was stopped.

    No other command of a sweep gets into its folder meanwhile: each would write the tables without
    the rows of the other.

    Args:
        arguments: `file`, `output`, `device`, and `table_only` to train nothing.
        log: gets a sentence at a time.
        trainer: trains one run; see `run_sweep`.

    Raises:
        ValueError, FileNotFoundError: what was given cannot be used, or several processes were
            launched.
        OutputTaken: another command uses the folder.
    """
    if num_launched() > 1:
        raise ValueError(
            f"{num_launched()} processes were launched for one sweep, and each would train its "
            "runs and write its tables. Run it without torchrun or accelerate launch."
        )
    sweep = load_sweep(arguments.file)
    device = "" if arguments.table_only else choose_device(arguments.device)
    with locked(arguments.output):
        if not arguments.table_only:
            return _train(sweep, device, arguments, log, trainer)
        text = publish_again(sweep, arguments.output, log)
        log(f"{text}{describe_written(arguments.output)}")
        return 0


def _train(
    sweep: Sweep,
    device: str,
    arguments: Namespace,
    log: Callable[[str], None],
    trainer: Callable[..., Any],
) -> int:
    """The work of `run` that trains, and its result."""
    output = arguments.output
    remove_unfinished(output / CACHE_NAME)
    earlier = read_results(output)
    check_in_file(sweep, output, earlier)
    check_settings(sweep, output, earlier, is_training=True)
    known: list[Result] = joined(sweep, output, [], earlier)
    controls: list[Result] = []

    def on_results(results: Sequence[Result]) -> None:
        known[:] = joined(sweep, output, results, earlier)
        publish(sweep, output, [*known, *controls], log)

    try:
        controls += control_rows(sweep)  # first, so that data without labels is refused at once
        results = run_sweep(sweep, output, device, log, trainer, on_results)
    except KeyboardInterrupt as stop:
        if str(stop):
            log(str(stop))
        results = None
    if results is None:
        log(describe_stop(sweep, arguments, known))
        return 130
    text = publish(sweep, output, [*known, *controls], log)
    log(f"{text}{describe_written(output)}")
    failed = [each for each in results if "error" in each]
    if failed:
        text = f"Failed: {_named(failed)}."
        if kept := [each for each in failed if each not in known]:
            text += f" Results of an earlier call stay in the tables for {_named(kept)}."
        log(f"{text} Fix the reason and run the same command again.")
        return 1
    return 0


def publish_again(sweep: Sweep, output: Path, log: Callable[[str], None]) -> str:
    """Write the tables anew from table.json, and return table.md.

    Raises:
        FileNotFoundError: no table.json, or an empty one.
        ValueError: it is damaged, or has runs that the sweep lacks or that had other settings.
    """
    stored = read_table(output)
    if not stored:
        raise FileNotFoundError(
            f"There are no results in {output / JSON_NAME}. Train the sweep first."
        )
    results = of_runs(stored)
    check_in_file(sweep, output, results)
    check_settings(sweep, output, results, is_training=False)
    return publish(sweep, output, stored, log)


def _named(results: Sequence[Result]) -> str:
    return ", ".join(f"{each['row']} (seed {each['seed']})" for each in results)


def describe_written(output: Path) -> str:
    """Which files hold the results, in a sentence."""
    others = [name for name in (JSON_NAME, FIGURE_NAME) if (output / name).is_file()]
    return f"Wrote {', '.join([str(output / MARKDOWN_NAME), *others[:-1]])} and {others[-1]}."


def describe_stop(sweep: Sweep, arguments: Namespace, known: Sequence[Result]) -> str:
    """What is done of a sweep that was stopped, where its table is, and the command to resume.

    Args:
        arguments: of the command.
        known: results of the runs that are done, and failures.
    """
    failed = sum("error" in each for each in known)
    total = counted(len(sweep.rows) * len(sweep.seeds), "run")
    done = f"{len(known) - failed} of {total} done" + (f", {failed} failed" if failed else "")
    path = arguments.output / MARKDOWN_NAME
    table = f"{path} holds what is done. " if known and path.is_file() else ""
    words = ["sweep", str(arguments.file), "--output", str(arguments.output)]
    if arguments.device != "auto":
        words += ["--device", arguments.device]
    return f"The sweep was stopped: {done}. {table}To resume: {command_line('cldis', *words)}"
