"""What belongs to one run and to one row, what is kept, and what a co-pilot explains."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from benchmarks.tracking_validation import add_udr, by_run, kept_measurement, sweep_of


def model(sweep: str, seed: int) -> dict[str, Any]:
    codes = np.random.default_rng(seed).standard_normal((50, 4))
    return {
        "sweep": sweep,
        "row": "open_loop",
        "seed": "0",
        "codes": "semantic",
        "score": float(seed),
        "sample_codes": codes.tolist(),
    }


def test_rows_of_one_name_in_two_sweeps_are_two_rows() -> None:
    models = [model("rooms-1", 0), model("rooms-2", 1)]
    add_udr(models)
    assert [each["udr"] for each in models] == [None, None]  # one seed each
    assert [values.tolist() for values in by_run(models, ["score"])] == [[[0.0]], [[1.0]]]
    alike = [model("rooms-1", 0), model("rooms-1", 1)]
    add_udr(alike)
    assert all(0 <= each["udr"] <= 1 for each in alike)
    assert len(by_run(alike, ["score"])) == 1


def test_sweeps_of_one_name_in_two_places_are_two_sweeps(tmp_path: Path) -> None:
    first, second = (tmp_path / place / "rooms" / "row" / "seed_0" for place in ("a", "b"))
    assert sweep_of(first) != sweep_of(second)
    assert sweep_of(first) == sweep_of(first.parent / "seed_1")
    assert sweep_of(first).startswith("rooms-") and str(tmp_path) not in sweep_of(first)


def test_a_model_that_has_changed_is_measured_anew(tmp_path: Path) -> None:
    file, path = tmp_path / "model.safetensors", tmp_path / "kept.json"
    file.write_bytes(b"weights")
    assert kept_measurement(path, file) is None
    path.write_text(json.dumps({"model_time": file.stat().st_mtime_ns, "cts": 0.5}))
    found = kept_measurement(path, file)
    assert found is not None and found["cts"] == 0.5
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    assert kept_measurement(path, file) is None
