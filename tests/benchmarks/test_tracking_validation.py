"""What belongs to one run and to one row, what is kept, and what a co-pilot explains."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")
pytest.importorskip("cv2")

from benchmarks.tracking_validation import (
    add_udr,
    asked_of,
    by_run,
    kept_measurement,
    sweep_of,
    track_copilot,
)
from comfyui_cldis.imaging.tensors import from_pixels
from comfyui_cldis.tracking import FAST, TrackingSettings


def run(sweep: str, seed: int) -> dict[str, Any]:
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
    models = [run("rooms-1", 0), run("rooms-2", 1)]
    add_udr(models)
    assert [each["udr"] for each in models] == [None, None]  # one seed each
    assert [values.tolist() for values in by_run(models, ["score"])] == [[[0.0]], [[1.0]]]
    alike = [run("rooms-1", 0), run("rooms-1", 1)]
    add_udr(alike)
    assert all(0 <= each["udr"] <= 1 for each in alike)
    assert len(by_run(alike, ["score"])) == 1


def test_sweeps_of_one_name_in_two_places_are_two_sweeps(tmp_path: Path) -> None:
    first, second = (tmp_path / place / "rooms" / "row" / "seed_0" for place in ("a", "b"))
    assert sweep_of(first) != sweep_of(second)
    assert sweep_of(first) == sweep_of(first.parent / "seed_1")
    assert sweep_of(first).startswith("rooms-") and str(tmp_path) not in sweep_of(first)


def test_a_model_that_changed_or_is_measured_otherwise_is_measured_anew(tmp_path: Path) -> None:
    file, path = tmp_path / "model.safetensors", tmp_path / "kept.json"
    file.write_bytes(b"weights")
    asked = asked_of(file, "heads", ["mig", "dci"], FAST)
    assert kept_measurement(path, asked) is None
    path.write_text(json.dumps({"asked": asked, "cts": 0.5}))
    found = kept_measurement(path, asked_of(file, "heads", ["dci", "mig"], FAST))
    assert found is not None and found["cts"] == 0.5
    others = [
        asked_of(file, "shapes3d-equivalent", ["mig", "dci"], FAST),
        asked_of(file, "heads", ["mig"], FAST),
        asked_of(file, "heads", ["mig", "dci"], TrackingSettings()),
    ]
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    others.append(asked_of(file, "heads", ["mig", "dci"], FAST))
    assert [kept_measurement(path, other) for other in others] == [None] * 4


@pytest.mark.parametrize("content", ["", "[]", '{"model_time": 0, "cts": 0.5}'])
def test_what_cannot_be_read_is_measured_anew(tmp_path: Path, content: str) -> None:
    file, path = tmp_path / "model.safetensors", tmp_path / "kept.json"
    file.write_bytes(b"weights")
    path.write_text(content)
    assert kept_measurement(path, asked_of(file, "heads", ["mig"], FAST)) is None


def test_a_copilot_is_asked_for_the_variance_at_its_own_size(make_model, monkeypatch) -> None:
    model = make_model()
    networks = model.networks
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    small = networks.copilot.resize(from_pixels(images))
    assert small.shape[-1] == 16  # a quarter of the variance of this noise is left
    half = small.mean(0) + (small - small.mean(0)) / 2
    codes = torch.arange(12.0)[:, None] * torch.ones(1, 4)
    monkeypatch.setattr(networks.copilot, "decode", lambda z: half[z[:, 0].round().long() % 12])
    found = track_copilot(model, images, codes.numpy(), TrackingSettings(num_bases=2))
    assert found.coverage == pytest.approx(0.75, abs=1e-4)
