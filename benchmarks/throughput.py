"""Images per second of a training step, against a plain float32 loop of the same networks.

    python -m benchmarks.throughput [--device cpu|cuda] [--sizes celeba64,ffhq128,gpu64,cpu64]
        [--variants fp32,bf16,fp32+compile,bf16+compile] [--baseline plain] [--json FILE]

A step is everything between two batches: choosing and converting images, draws, encoder, U-Net
and co-pilot forward and backward (the co-pilot's cost is included), clipping, AdamW, the weight
average and reading the losses. Decoding of images, the measurement of the usage
(`feedback.usage_every_steps`), sample sheets and saving are not in it. celeba64 and
ffhq128 have the widths of the official Diff-AE models within the networks of this project.

The two loops of a ratio run in processes of their own that do a step in turn (A B A B), so that
other work on the machine hits both. The ratio of CPU time is the one to read on a busy CPU, the
ratio of wall time on an idle machine and on a GPU. Modifiers of a variant: compile, contiguous
and channels_last (memory format), mallopt (glibc keeps its memory), jemalloc (preloaded), denormals
(flushed to zero), threads=N.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.throughput_worker import Variant

ROOT = Path(__file__).resolve().parent.parent
SIZES = ("celeba64", "ffhq128", "gpu64", "cpu64")
VARIANTS = ("fp32", "bf16", "fp32+compile", "bf16+compile")
BATCHES = {
    "cpu": {"celeba64": 4, "ffhq128": 1, "gpu64": 8, "cpu64": 32},
    "cuda": {"celeba64": 128, "ffhq128": 64, "gpu64": 128, "cpu64": 256},
}
OTHER_BATCH = 16
GOALS = {"cpu": 1.5, "cuda": 3.0}


class Worker:
    """A process that trains one variant, a step at a time."""

    def __init__(
        self, variant: Variant, size: str, batch: int, options: argparse.Namespace
    ) -> None:
        task = {
            "variant": variant.name,
            "threads": variant.threads,
            "size": size,
            "batch": batch,
            "device": options.device,
            "warmup": options.warmup,
        }
        environment = os.environ | {"OMP_NUM_THREADS": str(variant.threads)}
        if "jemalloc" in variant.modifiers:
            library = ctypes.util.find_library("jemalloc")
            if library is None:
                raise OSError("There is no jemalloc. Install it (libjemalloc2) or leave it out.")
            environment["LD_PRELOAD"] = library
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.throughput_worker", json.dumps(task)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts = self._read()

    def step(self) -> dict[str, float]:
        """Do a step and report it."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"A measuring process ended with code {self.process.wait()}.")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(
    size: str, batch: int, variant: Variant, baseline: Variant, options: argparse.Namespace
) -> dict[str, Any]:
    """Steps of both loops in turn: all samples, and what the table shows."""
    workers: list[Worker] = []
    try:
        for each in (baseline, variant):
            workers.append(Worker(each, size, batch, options))
        samples: list[list[dict[str, float]]] = [[], []]
        began = time.perf_counter()
        while len(samples[0]) < options.rounds and (
            len(samples[0]) < 3 or time.perf_counter() - began < options.seconds
        ):
            for worker, taken in zip(workers, samples, strict=True):
                taken.append(worker.step())
        facts = workers[1].facts
    finally:
        for worker in workers:
            worker.close()
    return {
        "size": size,
        "batch": batch,
        "variant": variant.name,
        "baseline": baseline.name,
        "device": options.device,
        "warmup_seconds": facts["warmup_seconds"],
        "samples": {"baseline": samples[0], "variant": samples[1]},
        "summary": summarise(samples[0], samples[1], batch),
    }


def summarise(
    baseline: list[dict[str, float]], variant: list[dict[str, float]], batch: int
) -> dict[str, Any]:
    """Medians, and ratios baseline / variant of neighbouring steps with their quartiles."""

    def cpu(sample: dict[str, float]) -> float:
        return sample["user"] + sample["system"]

    def ratios(values: list[tuple[float, float]]) -> list[float]:
        quotients = [a / b for a, b in values if b > 0]
        if len(quotients) < 2:
            return quotients * 3
        return statistics.quantiles(quotients, n=4, method="inclusive")

    pairs = list(zip(baseline, variant, strict=True))
    return {
        "rounds": len(pairs),
        "images_per_second": batch / statistics.median(s["wall"] for s in variant),
        "cpu_seconds_per_image": statistics.median(cpu(s) for s in variant) / batch,
        "baseline_cpu_seconds_per_image": statistics.median(cpu(s) for s in baseline) / batch,
        "system_share": sum(s["system"] for s in variant) / max(sum(map(cpu, variant)), 1e-9),
        "page_faults_per_step": statistics.median(s["faults"] for s in variant),
        "memory_bytes": max(s["memory"] for s in variant),
        "cpu_ratio": ratios([(cpu(a), cpu(b)) for a, b in pairs]),
        "wall_ratio": ratios([(a["wall"], b["wall"]) for a, b in pairs]),
    }


HEADER = (
    "| size | batch | variant | images/s | CPU s/image | system | faults/step | memory GiB "
    "| ratio of CPU time | ratio of wall time |\n|---|---|---|---|---|---|---|---|---|---|"
)


def row(result: dict[str, Any]) -> str:
    """A line of the table."""
    summary = result["summary"]

    def spread(values: list[float]) -> str:
        low, middle, high = values
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"

    return (
        f"| {result['size']} | {result['batch']} | {result['variant']} "
        f"| {summary['images_per_second']:.3g} | {summary['cpu_seconds_per_image']:.3g} "
        f"| {summary['system_share']:.0%} | {summary['page_faults_per_step']:.0f} "
        f"| {summary['memory_bytes'] / 2**30:.2f} "
        f"| {spread(summary['cpu_ratio'])} | {spread(summary['wall_ratio'])} |"
    )


def machine(device: str) -> str:
    """What the figures were taken on, in a line."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    text = f"torch {torch.__version__}, {name}, {os.cpu_count()} cores"
    return f"{text}, {torch.cuda.get_device_name()}" if device == "cuda" else text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_gpu else "cpu")
    parser.add_argument("--sizes", default=",".join(SIZES), help="also names of other presets")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--baseline", default="plain", help="plain, or any variant")
    parser.add_argument("--batch", type=int, default=0, help="default: by size and device")
    parser.add_argument("--threads", type=int, default=1, help="of each process (default: 1)")
    parser.add_argument("--rounds", type=int, default=15, help="at most (default: 15)")
    parser.add_argument("--seconds", type=float, default=60, help="per ratio (default: 60)")
    parser.add_argument("--warmup", type=int, default=2, help="steps not counted (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples")
    options = parser.parse_args()
    if options.device == "cuda" and not has_gpu:
        parser.error("there is no usable GPU; give --device cpu")
    baseline = Variant.parse(options.baseline, options.threads)
    variants = [Variant.parse(name, options.threads) for name in options.variants.split(",")]
    print(
        f"{machine(options.device)}; threads: {options.threads} unless said; "
        f"against {baseline.name}"
    )
    print(f"goal on this device: {GOALS[options.device]} times the plain loop")
    if not has_gpu:
        print("GPU: not measured, there is none here")
    print(HEADER)
    results = []
    for size in options.sizes.split(","):
        batch = options.batch or BATCHES[options.device].get(size, OTHER_BATCH)
        for variant in variants:
            results.append(compare(size, batch, variant, baseline, options))
            print(row(results[-1]), flush=True)
            if options.json:
                content = {"machine": machine(options.device), "results": results}
                options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
