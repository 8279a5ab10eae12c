"""Kill a training run again and again and see that it ends as if it had never been stopped.

    python -m benchmarks.kill_drill --kills 10 --output FOLDER

Trains a small model twice with the same command: once undisturbed, and once killed with SIGKILL at
random moments, every second time while a state is being written. Compares all weights, averages,
optimizer moments and the controller of the two last states bit by bit. FOLDER keeps both runs, what
they printed, and drill.json with every kill and the outcome; without it nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comfyui_cldis.atomic_write import unfinished
from comfyui_cldis.wording import counted
from trainer.monitor.metrics_file import STATS_NAME, read_records
from trainer.training.checkpoint import STATE_NAME, load_state, state_files

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_START = 300.0
SECONDS_BETWEEN_LINES = 30.0  # of the progress of a run that is not disturbed
REPORT_NAME = "drill.json"
LOG_SUFFIX = "_log.txt"


@dataclass(frozen=True)
class Kill:
    """One kill of the run.

    Attributes:
        number: counted from 1.
        step: last step that the run had logged when it was killed.
        was_writing: whether a state was being written.
        states: names of the state files that were left, newest first.
    """

    number: int
    step: int
    was_writing: bool
    states: tuple[str, ...]

    def describe(self, kills: int, steps: int) -> str:
        """One line."""
        place = "while writing a state" if self.was_writing else "between two states"
        left = ", ".join(self.states) or "no state yet"
        return (
            f"kill {self.number} of {kills} at step {self.step} of {steps}, {place}; left: {left}"
        )


def make_images(folder: Path, num_images: int = 40) -> None:
    """Smooth random images, always the same."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(num_images):
        corners = rng.integers(0, 255, (2, 2, 3), dtype=np.uint8)
        image = Image.fromarray(corners).resize((32, 32), Image.Resampling.BILINEAR)
        image.save(folder / f"{index:03d}.png")


def start(images: Path, output: Path, steps: int) -> subprocess.Popen[bytes]:
    """The training command, in a process of its own."""
    command = [sys.executable, "-m", "trainer", "--data", str(images), "--output", str(output)]
    command += ["--preset", "tiny32", "--steps", str(steps), "--device", "cpu", "--no-tensorboard"]
    command += ["--set", "save_every_steps=3", "--set", "log_every_steps=1"]
    # one after the other, each start of a run adds to what it printed
    with open(output.with_name(output.name + LOG_SUFFIX), "ab") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def last_step(output: Path) -> int:
    """The last step that a run has logged, 0 before the first."""
    records = read_records(output / STATS_NAME)
    return records[-1].step if records else 0


def wait_to_end(
    process: subprocess.Popen[bytes], output: Path, steps: int, log: Callable[[str], None]
) -> None:
    """Let a run end, with a line about its progress now and then.

    Raises:
        RuntimeError: it failed.
    """
    while True:
        try:
            code = process.wait(timeout=SECONDS_BETWEEN_LINES)
        except subprocess.TimeoutExpired:
            step = last_step(output)
            doing = f"step {step} of {steps}" if step < steps else "trained, measuring the model"
            log(f"{output.name}: {doing}")
            continue
        break
    if code != 0:
        printed = output.with_name(output.name + LOG_SUFFIX)
        lines = printed.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RuntimeError(
            f"The run '{output.name}' ended with exit code {code}; its last line is: "
            f"{lines[-1] if lines else 'none'}. Fix that and start the drill again."
        )
    log(f"{output.name}: finished at step {last_step(output)} of {steps}")


def wait_for_steps(process: subprocess.Popen[bytes], output: Path) -> bool:
    """Wait until the run logs a new step; False when it ended before."""
    path = output / STATS_NAME
    size = path.stat().st_size if path.is_file() else 0
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if path.is_file() and path.stat().st_size > size:
            return True
        time.sleep(0.01)
    process.kill()
    raise TimeoutError(f"the run logged nothing within {SECONDS_TO_START:.0f} s")


def wait_for_write(process: subprocess.Popen[bytes], output: Path) -> bool:
    """Wait until a state is being written; False when the run ended before."""
    while process.poll() is None:
        if unfinished(output / STATE_NAME):
            return True
        time.sleep(0.0002)
    return False


def kill_at_random(
    images: Path, output: Path, steps: int, kills: int, rng: random.Random
) -> Iterator[Kill]:
    """Start the run and kill it, `kills` times.

    Raises:
        RuntimeError: the run ended before.
    """
    done = 0
    while done < kills:
        process = start(images, output, steps)
        in_write = done % 2 == 1
        hit = wait_for_steps(process, output)
        if hit and in_write:
            hit = wait_for_write(process, output)
            time.sleep(rng.uniform(0, 0.01))
        elif hit:
            time.sleep(rng.uniform(0, 1.0))
        if not hit or process.poll() is not None:
            process.wait()
            many = f"{done} of {counted(kills, 'kill')}"
            raise RuntimeError(f"The run ended after {many}. Give more --steps.")
        process.send_signal(signal.SIGKILL)
        process.wait()
        done += 1
        yield Kill(
            number=done,
            step=last_step(output),
            was_writing=bool(unfinished(output / STATE_NAME)),
            states=tuple(path.name for path in state_files(output)),
        )


def differences(first: object, second: object, where: str = "state") -> Iterator[str]:
    """Where two states differ, bit by bit; the time they took is not compared."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.dtype != second.dtype or not torch.equal(first, second):
            yield where
    elif isinstance(first, dict) and isinstance(second, dict):
        for key in {*first, *second} - {"seconds"}:
            yield from differences(first.get(key), second.get(key), f"{where}.{key}")
    elif isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        if len(first) != len(second):
            yield where
        for index, (a, b) in enumerate(zip(first, second, strict=False)):
            yield from differences(a, b, f"{where}[{index}]")
    elif first != second:
        yield where


def drill(
    folder: Path, kills: int, steps: int, seed: int, log: Callable[[str], None] = print
) -> list[str]:
    """Run the drill in `folder`; the places in which the two last states differ.

    Writes `folder`/drill.json after every kill, and with the outcome at the end.

    Args:
        log: gets the progress, a line at a time.

    Raises:
        RuntimeError: a run failed, or ended before it was killed so often.
    """
    images = folder / "images"
    make_images(images)
    undisturbed, killed = folder / "undisturbed", folder / "killed"
    log(f"training {counted(steps, 'step')} undisturbed")
    wait_to_end(start(images, undisturbed, steps), undisturbed, steps, log)
    done: list[Kill] = []
    for kill in kill_at_random(images, killed, steps, kills, random.Random(seed)):
        done.append(kill)
        write_report(folder, done, None, kills=kills, steps=steps, seed=seed)
        log(kill.describe(kills, steps))
    wait_to_end(start(images, killed, steps), killed, steps, log)
    states = [load_state(run) for run in (undisturbed, killed)]
    assert states[0] is not None and states[1] is not None
    found = list(differences(states[0][0], states[1][0]))
    write_report(folder, done, found, kills=kills, steps=steps, seed=seed)
    return found


def write_report(
    folder: Path, done: Sequence[Kill], found: Sequence[str] | None, **settings: int
) -> None:
    """Write `folder`/drill.json.

    Args:
        done: the kills so far.
        found: places in which the two last states differ; None when they are not compared yet.
        settings: kills asked for, steps and seed.
    """
    report = {
        **settings,
        "is_identical": None if found is None else not found,
        "differences": found,
        "done": [asdict(kill) for kill in done],
    }
    (folder / REPORT_NAME).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def log_now(line: str) -> None:
    """Print a line with the time, at once also into a file."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def at_least_one(text: str) -> int:
    """A whole number of at least 1, from the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small; use 1 or more")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when the two runs ended alike, 1 when not, 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=at_least_one, default=10, help="how often (default: 10)")
    parser.add_argument(
        "--steps", type=at_least_one, default=300, help="of each run (default: 300)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="new or empty folder that keeps the runs and a report of the drill, drill.json",
    )
    options = parser.parse_args(argv)
    if options.output is not None:
        try:
            options.output.mkdir(parents=True, exist_ok=True)
            is_used = any(options.output.iterdir())
        except OSError as error:
            parser.error(f"--output {options.output}: {error.strerror}; choose another folder")
        if is_used:
            parser.error(f"--output {options.output} is not empty; choose a new folder")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if options.output is None else options.output.resolve()
        try:
            found = drill(folder, options.kills, options.steps, options.seed, log_now)
        except (RuntimeError, TimeoutError) as error:
            log_now(str(error))
            return 1
    many = f"{counted(options.kills, 'kill')} and {counted(options.steps, 'step')}"
    if found:
        log_now(
            f"DIFFERENT in {counted(len(found), 'place')} after {many}: {', '.join(found[:10])}"
        )
    else:
        log_now(f"Identical after {many}.")
    if options.output is not None:
        log_now(f"Report: {options.output / REPORT_NAME}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
