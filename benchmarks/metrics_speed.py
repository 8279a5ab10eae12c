"""How long each labelled metric takes, and what it says of codes whose quality is known.

    python -m benchmarks.metrics_speed [--fast] [--metrics dci,sap,...] [--rows 15000]

Scores three codes on random rows with the six factors of Shapes3D (10, 10, 10, 8, 4 and 15 values):
a synthetic code of 20 dimensions (factors turned a little into each other, products, noise, dead
ones), the oracle, and a random rotation of it. Prints one line per metric: the three scores, and
the seconds that the synthetic code took, by the clock and of processor time.
"""

from __future__ import annotations

import argparse
import time
from datetime import date

import joblib
import numpy as np

from comfyui_cldis.metrics import METRICS, controls, evaluate, from_arrays

SIZES = np.array((10, 10, 10, 8, 4, 15))


def synthetic_rows(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes (rows, 20) and factors (rows, 6)."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, SIZES, size=(rows, len(SIZES)))
    x = (factors - (SIZES - 1) / 2) / np.sqrt((SIZES**2 - 1) / 12)
    codes = np.zeros((rows, 20))
    codes[:, :6] = x
    codes[:, 6] = x[:, 0] * x[:, 1]
    codes[:, 7] = np.sin(3 * x[:, 2])
    codes[:, 8:10] = 0.8 * x[:, :2]
    rotation = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    codes[:, :10] += 0.15 * codes[:, :10] @ rotation
    codes[:, :15] += 0.1 * rng.standard_normal((rows, 15))
    codes[:, 15:] = 0.01 * rng.standard_normal((rows, 5))
    return codes, factors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--metrics", default=",".join(METRICS))
    options = parser.parse_args()
    representation = from_arrays(*synthetic_rows(options.rows))
    protocol = "fast" if options.fast else "full"
    threads = f"up to {joblib.cpu_count()} threads (LOKY_MAX_CPU_COUNT)"
    print(f"{date.today()}, {options.rows} rows, {protocol} protocol, {threads}")
    print("| metric | score | code | oracle | rotation | seconds | CPU seconds |")
    print("|---|---|---|---|---|---|---|")
    for name in options.metrics.split(","):
        clock, processor = time.perf_counter(), time.process_time()
        scores = evaluate(representation, [name], fast=options.fast)
        times = f"{time.perf_counter() - clock:.2f} | {time.process_time() - processor:.2f}"
        known = controls(representation, [name], fast=options.fast)
        for key in METRICS[name].keys:
            cells = [scores[key], known["oracle"][key], known["random_rotation"][key]]
            row = " | ".join(
                f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells
            )
            print(f"| {name} | {key} | {row} | {times} |", flush=True)


if __name__ == "__main__":
    main()
