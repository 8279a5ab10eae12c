"""Kill a training run again and again and see that it ends as if it had never been stopped.

    python -m benchmarks.kill_drill --kills 10

Trains a small model twice with the same command: once undisturbed, and once killed with SIGKILL at
random moments, every second time while a state is being written. Compares all weights, averages,
optimizer moments and the controller of the two last states bit by bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainer.state import load_state, state_files
from trainer.stats import STATS_NAME

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_START = 300.0


def make_pictures(folder: Path, num_pictures: int = 40) -> None:
    """Smooth random pictures, always the same."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(num_pictures):
        corners = rng.integers(0, 255, (2, 2, 3), dtype=np.uint8)
        picture = Image.fromarray(corners).resize((32, 32), Image.Resampling.BILINEAR)
        picture.save(folder / f"{index:03d}.png")


def start(pictures: Path, output: Path, steps: int) -> subprocess.Popen[bytes]:
    """The training command, in a process of its own."""
    command = [sys.executable, "-m", "trainer", "--data", str(pictures), "--output", str(output)]
    command += ["--preset", "tiny32", "--steps", str(steps), "--device", "cpu", "--no-tensorboard"]
    command += ["--set", "save_every_steps=3", "--set", "log_every_steps=1"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


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
    temporary = output / "state.tmp"
    while process.poll() is None:
        if temporary.exists():
            return True
        time.sleep(0.0002)
    return False


def kill_at_random(
    pictures: Path, output: Path, steps: int, kills: int, rng: random.Random
) -> Iterator[str]:
    """Start the run and kill it, `kills` times or until it ends; then let it end."""
    done = 0
    while done < kills:
        process = start(pictures, output, steps)
        in_write = done % 2 == 1
        hit = wait_for_steps(process, output)
        if hit and in_write:
            hit = wait_for_write(process, output)
            time.sleep(rng.uniform(0, 0.01))
        elif hit:
            time.sleep(rng.uniform(0, 1.0))
        if not hit or process.poll() is not None:
            process.wait()
            raise RuntimeError(f"The run ended after {done} of {kills} kills. Give more --steps.")
        process.send_signal(signal.SIGKILL)
        process.wait()
        done += 1
        was_writing = (output / "state.tmp").exists()
        names = ", ".join(path.name for path in state_files(output)) or "no state yet"
        yield f"kill {done}: {'while writing a state' if was_writing else 'between'}; {names}"
    process = start(pictures, output, steps)
    if process.wait() != 0:
        raise RuntimeError("The run that was killed could not be finished.")


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


def drill(folder: Path, kills: int, steps: int, seed: int) -> list[str]:
    """Run the drill in `folder`; the places in which the two last states differ."""
    pictures = folder / "pictures"
    make_pictures(pictures)
    undisturbed = start(pictures, folder / "undisturbed", steps)
    if undisturbed.wait() != 0:
        raise RuntimeError("The undisturbed run failed; run python -m trainer to see why.")
    for line in kill_at_random(pictures, folder / "killed", steps, kills, random.Random(seed)):
        print(line, flush=True)
    states = [load_state(folder / name) for name in ("undisturbed", "killed")]
    assert states[0] is not None and states[1] is not None
    return list(differences(states[0][0], states[1][0]))


def main() -> int:
    """The command; 0 when the two runs ended alike."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=10, help="how often (default: 10)")
    parser.add_argument("--steps", type=int, default=300, help="of each run (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = drill(Path(name), arguments.kills, arguments.steps, arguments.seed)
    if found:
        print(f"DIFFERENT in {len(found)} places: {', '.join(found[:10])}")
        return 1
    print(f"Identical after {arguments.kills} kills and {arguments.steps} steps.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
