"""Time and memory of encode, invert and decode at equal fidelity, against the official way.

    python -m benchmarks.speed [--device cpu|cuda] [--output DIR] [--heads N] [--threads N]
    python -m benchmarks.speed --errors-only

The official way is that of Diff-AE's notebooks: plain float32, 250 steps of the usual DDIM
inversion, 100 or 20 steps of DDIM. First it is measured, on the demo model, how close this and
other pairs of inversion and sampler come to a reference of 250 steps: the reconstruction to the
image, the edit to that of the reference. Then every pair has as many steps as it needs to be no
worse than the official way in both, and the fastest of them is timed against it: the demo model,
and the published sizes of Diff-AE with random weights, previews with a co-pilot on top. Each way
runs in processes of its own, in turn, and the fastest of them counts. At last, how time and memory
grow with batch, steps and size.

Writes speed.json (all that was measured), speed.md (the tables) and two plots into DIR; the errors
alone, and their plot, where no time is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed_cases import OFFICIAL, SIZES, Way
from benchmarks.speed_fidelity import REFERENCE, Fidelity, Judge, fewest_steps
from benchmarks.speed_report import write_report
from benchmarks.speed_solvers import PAIRS
from benchmarks.speed_worker import answers
from benchmarks.throughput import machine

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = Way("default of the nodes", "ddim_2m", 20, 20)
SHORT_DTYPES = {"cpu": ("bf16",), "cuda": ("fp16", "bf16")}  # fp16 has no arithmetic on CPUs
IN_SHORT_DTYPES = ("ddim corrected", "ddim_2m")  # the pairs judged in them too
ALL_STEPS = 1000  # more than any way has


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        heads: images of the fidelity.
        pairs: of `speed_solvers.PAIRS`.
        steps: numbers of steps at which every pair is judged.
        cases: models that are timed, the demo model first.
        rounds: processes of each way of the demo model, of which the fastest counts.
        repeats, previews: of an edit and of a tracked preview in each.
        most_steps: that are run of a large model; the time of more is scaled.
        batches, run_lengths, sizes: at which the growth is measured.
        in_process: whether all runs in this process, to check; the memory then says nothing.
    """

    heads: int = 4
    pairs: tuple[str, ...] = tuple(PAIRS)
    steps: tuple[int, ...] = (5, 8, 10, 12, 15, 20, 25, 30, 40)
    cases: tuple[str, ...] = ("demo", "celeba64", "ffhq128", "ffhq256")
    rounds: int = 2
    repeats: int = 2
    previews: int = 20
    most_steps: int = 2
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    run_lengths: tuple[int, ...] = (5, 10, 20, 50, 100)
    sizes: tuple[int, ...] = SIZES
    in_process: bool = False
    reference: Way = REFERENCE
    official: tuple[Way, ...] = OFFICIAL
    default: Way = DEFAULT


QUICK = Extent(
    heads=1,
    pairs=("ddim", "ddim_2m", "bdia"),
    steps=(2, 3),
    cases=("demo",),
    rounds=1,
    repeats=1,
    previews=1,
    batches=(2,),
    run_lengths=(2,),
    sizes=(32,),
    in_process=True,
    reference=replace(REFERENCE, inversion_steps=4, steps=4),
    official=(Way("official, T = 4 and 2", "ddim", 4, 2),),
    default=replace(DEFAULT, inversion_steps=2, steps=2),
)


def judged(extent: Extent, device: str) -> list[Fidelity]:
    """The errors of the official ways, the default, and every pair at every number of steps."""
    judge = Judge(extent.heads, device, extent.reference)
    ways = [*extent.official, extent.default]
    for dtype in ("fp32", *SHORT_DTYPES[device]):
        for pair in extent.pairs:
            if dtype != "fp32" and pair not in IN_SHORT_DTYPES:
                continue
            ways += [Way(pair, pair, steps, steps, dtype) for steps in extent.steps]
    found = []
    for way in ways:
        found.append(judge.measure(way))
        _say(
            f"{way.name}, {way.dtype}, {way.inversion_steps} and {way.steps} steps: "
            f"{found[-1].reconstruction:.2f} and {found[-1].edit:.2f} levels"
        )
    return found


def ways_to_time(found: list[Fidelity], extent: Extent, device: str) -> list[Way]:
    """Each official way, followed by the ways of ours that are no worse; then the default."""
    ways: list[Way] = []
    for official in extent.official:
        (goal,) = (each for each in found if each.way == official)
        ways.append(official)
        ours = [each for each in found if each.way.pair == each.way.name]
        for dtype in ("fp32", *SHORT_DTYPES[device]):
            best = fewest_steps((each for each in ours if each.way.dtype == dtype), goal)
            if best is None:
                _say(f"{official.name}: no pair is as close in {dtype}")
                continue
            way = best.way
            if dtype == "fp32":
                ways.append(way)
            ways.append(replace(way, layout="channels_last"))
            if device == "cuda":
                ways.append(replace(way, layout="channels_last", compiled=True))
    return [*ways, extent.default]


def timed(ways: list[Way], extent: Extent, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every way on every case: a row each, of the fastest round.

    The demo model also at a batch of 8; of the others, the first official way and its equals, and
    previews of the same architecture with a co-pilot.
    """
    rows: dict[tuple[str, int, int], dict[str, Any]] = {}
    starts = [ways.index(official) for official in extent.official]
    of_first = ways[: (*starts, len(ways))[1]]
    for case in extent.cases:
        is_large = case != "demo"
        for _ in range(1 if is_large else extent.rounds):
            for index, way in enumerate(of_first if is_large else ways):
                runs = [_run(1, extent, is_large), *([] if is_large else [_run(8, extent, True)])]
                (facts, *edits) = _ask(case, way, runs, extent, options)
                previews = {"kind": "preview", "repeats": extent.previews}
                drawn_by = f"{case}, adapted" if is_large else case
                edits[0]["stages"] |= _ask(drawn_by, way, [previews], extent, options)[1]
                for edit in edits:
                    row = {"case": case, "way": way.to_dict(), **facts, **edit}
                    key = case, index, edit["batch"]
                    rows[key] = _faster(rows.get(key, row), row)
        _say(f"timed {case}")
    return [rows[key] for key in sorted(rows, key=lambda key: (extent.cases.index(key[0]), key))]


def _run(batch: int, extent: Extent, is_short: bool) -> dict[str, Any]:
    most = extent.most_steps if is_short else ALL_STEPS
    repeats = 1 if is_short else extent.repeats
    return {"kind": "edit", "batch": batch, "repeats": repeats, "most_steps": most}


def _faster(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A row with the smaller times of two, stage by stage, and the smaller memory."""
    stages = {
        stage: {key: min(value, second["stages"][stage][key]) for key, value in times.items()}
        for stage, times in first["stages"].items()
    }
    sizes = {key: min(first[key], second[key]) for key in ("memory_bytes", "working_bytes")}
    return first | {"stages": stages} | sizes


def growth(extent: Extent, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Time and memory against the batch, the steps and the side of the image."""
    way = replace(
        extent.default, inversion_steps=extent.run_lengths[0], steps=extent.run_lengths[0]
    )
    runs = [_run(batch, extent, False) for batch in extent.batches]
    by_batch = [_ask("demo", way, [run], extent, options)[1] for run in runs]
    runs = [
        _run(1, extent, False) | {"way": {"inversion_steps": steps, "steps": steps}}
        for steps in extent.run_lengths
    ]
    by_steps = [_ask("demo", way, [run], extent, options)[1] for run in runs]
    by_size = []
    for size in extent.sizes:
        answer = _ask(f"demo at {size}", way, [_run(1, extent, False)], extent, options)[1]
        by_size.append({"size": size} | answer)
    return {"batch": by_batch, "steps": by_steps, "size": by_size}


def _ask(
    case: str, way: Way, runs: list[dict[str, Any]], extent: Extent, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """What a measuring process answers to its runs, the facts of the model first."""
    task = {"case": case, "way": way.to_dict(), "runs": runs}
    task |= {"device": options.device, "threads": options.threads}
    if extent.in_process:
        return list(answers(task))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed_worker", json.dumps(task)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": str(options.threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_gpu else "cpu")
    parser.add_argument("--output", type=Path, default=Path("speed"), metavar="DIR")
    parser.add_argument("--heads", type=int, metavar="N", help="images of the fidelity")
    parser.add_argument("--cases", metavar="NAMES", help="of benchmarks.speed_cases, with commas")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--errors-only", action="store_true", help="time nothing")
    parser.add_argument("--quick", action="store_true", help="so little that it only shows it runs")
    options = parser.parse_args(arguments)
    extent = QUICK if options.quick else Extent()
    if options.device == "cuda":
        extent = replace(extent, most_steps=ALL_STEPS)
    if options.heads:
        extent = replace(extent, heads=options.heads)
    if options.cases:
        extent = replace(extent, cases=tuple(options.cases.split(",")))
    torch.set_num_threads(options.threads)
    found = judged(extent, options.device)
    results = {
        "machine": machine(options.device),
        "device": options.device,
        "threads": options.threads,
        "heads": extent.heads,
        "official": [way.name for way in extent.official],
        "fidelity": [each.to_dict() for each in found],
    }
    if not options.errors_only:
        results["times"] = timed(ways_to_time(found, extent, options.device), extent, options)
        results["growth"] = growth(extent, options)
    print(write_report(results, options.output))


if __name__ == "__main__":
    main()
