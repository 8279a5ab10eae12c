"""Time and memory of one way to do an edit, in a process of its own: for `benchmarks.speed`.

The task is a JSON text in argv; each of its runs is answered with a line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed_cases import CASES, Way, laid_out, prepared
from benchmarks.speed_solvers import PAIRS
from comfyui_cldis.diffusion.noise import gaussian_noise
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent, Source
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.editing.pipeline import denoiser_for
from comfyui_cldis.editing.render import TrackedPreview

SEED = 0
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """Peak of the memory since it was made, in bytes: of the GPU, or of the process.

    Attributes:
        before: what was taken when it was made: the weights, and of a process also all of Python.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            with suppress(OSError):  # where there is none, the peak is that of the whole process
                CLEAR.write_text("5")
        self.before = self.peak()

    def peak(self) -> int:
        """Bytes, with those from before."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated()
        if STATUS.exists():
            (line,) = (each for each in STATUS.read_text().splitlines() if "VmHWM" in each)
            return int(line.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Stopwatch:
    """Wall and CPU seconds of a call, with all that it started on the device."""

    def __init__(self, device: str) -> None:
        self.device = device

    def time(self, call: Callable[[], Any]) -> tuple[Any, float, float]:
        """What the call returns, wall seconds, CPU seconds of all threads."""
        self._wait()
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        self._wait()
        return result, time.perf_counter() - wall, time.process_time() - cpu

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


class Counted:
    """A denoiser that counts its evaluations."""

    def __init__(self, model: EditableModel, code: Tensor) -> None:
        self._denoiser = denoiser_for(model, code, None)
        self.calls = 0

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self._denoiser(x_t, t)


def evaluations(model: EditableModel, way: Way) -> tuple[int, int]:
    """Of the network, for the inversion and for one decode with all their steps."""
    pair, counts = PAIRS[way.pair], []
    x = torch.zeros(1, 1, 1, 1)
    for run, num_steps in ((pair.invert, way.inversion_steps), (pair.draw, way.steps)):
        calls = 0

        def nothing(x_t: Tensor, t: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return torch.zeros_like(x_t)

        x = run(nothing, x, model.schedule, num_steps)
        counts.append(calls)
    return counts[0], counts[1]


@torch.inference_mode()
def measure(
    model: EditableModel, way: Way, device: str, batch: int, repeats: int, most_steps: int
) -> dict[str, Any]:
    """Seconds of encode, invert and decode: the fastest of some repeats; and the peak of memory.

    Args:
        most_steps: that are run; the seconds of a longer run are scaled by its evaluations.
    """
    config = model.networks.config
    shape = (batch, config.in_channels, config.image_size, config.image_size)
    memory = Memory(device)  # before the first edit: what that takes from the system is kept
    images = laid_out(gaussian_noise(shape, SEED).clamp(-1, 1).to(device), way)
    watch = Stopwatch(device)
    full = evaluations(model, way)
    steps = min(way.inversion_steps, most_steps), min(way.steps, most_steps)
    _edit(model, way, images, (2, 2), watch)  # warms up
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for stage, seconds in _edit(model, way, images, steps, watch).items():
            least = best.setdefault(stage, seconds)
            best[stage] = {key: min(value, least[key]) for key, value in seconds.items()}
    for stage, wanted in zip(("invert", "decode"), full, strict=True):
        share = wanted / best[stage].pop("evaluations")
        best[stage] = {key: value * share for key, value in best[stage].items()}
    return {
        "batch": batch,
        "steps": [way.inversion_steps, way.steps],
        "stages": best,
        "evaluations": list(full),
        "is_scaled": steps != (way.inversion_steps, way.steps),
        "memory_bytes": memory.peak(),
        "working_bytes": memory.peak() - memory.before,
    }


def _edit(
    model: EditableModel, way: Way, images: Tensor, steps: tuple[int, int], watch: Stopwatch
) -> dict[str, dict[str, float]]:
    """One edit: wall and CPU seconds of each stage, and evaluations of the network."""
    pair = PAIRS[way.pair]
    posterior, wall, cpu = watch.time(lambda: model.networks.encode_semantic(images))
    found = {"encode": {"wall": wall, "cpu": cpu}}
    x = images
    for stage, run, num_steps in (
        ("invert", pair.invert, steps[0]),
        ("decode", pair.draw, steps[1]),
    ):
        denoiser = Counted(model, posterior.mu)
        x, wall, cpu = watch.time(lambda: run(denoiser, x, model.schedule, num_steps))  # noqa: B023
        found[stage] = {"wall": wall, "cpu": cpu, "evaluations": denoiser.calls}
    return found


@torch.inference_mode()
def measure_preview(model: EditableModel, device: str, repeats: int) -> dict[str, Any]:
    """Seconds of one tracked preview of one image of the model's size, as a slider draws it."""
    config = model.networks.config
    pixels = torch.full((3, config.image_size, config.image_size), 127, dtype=torch.uint8)
    square, origin = frame_original(pixels, 3, config.image_size, "crop", None)
    code = model.networks.encode_semantic(square.to(device)).mu.cpu()
    latent = Latent(code, origins=(origin,), sources=(Source(pixels, code[0]),))
    preview, watch = TrackedPreview(model, latent), Stopwatch(device)
    name = model.directions[0].name
    times = [watch.time(lambda: preview.draw({name: 1.0}))[1:] for _ in range(repeats + 1)][1:]
    return {"preview": dict(zip(("wall", "cpu"), map(min, zip(*times, strict=True)), strict=True))}


def answers(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is measured of each run of a task; first, facts of its model."""
    torch.set_num_threads(task["threads"])
    model, way, device = CASES[task["case"]](), Way(**task["way"]), task["device"]
    size = sum(weight.numel() for weight in model.networks.parameters())
    model = prepared(model, way, device)
    yield {"parameters": size}
    for run in task["runs"]:
        if run["kind"] == "preview":
            yield measure_preview(model, device, run["repeats"])
        else:
            changed = Way(**task["way"] | run.get("way", {}))
            yield measure(model, changed, device, run["batch"], run["repeats"], run["most_steps"])


def main() -> None:
    for answer in answers(json.loads(sys.argv[1])):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
