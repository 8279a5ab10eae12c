"""Labelled scores of a finished run's codes, kept beside its model file for the next time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comfyui_cldis.atomic_write import write_text

KEPT_NAMES = {"semantic": "scores.json", "copilot": "copilot_scores.json"}


def score_keys(metrics: Sequence[str]) -> list[str]:
    """The numbers that metrics give."""
    if not metrics:
        return []
    from comfyui_cldis.metrics import METRICS

    return [key for name in metrics for key in METRICS[name].keys]


def kept_scores(model: Path, codes: str, metrics: Sequence[str]) -> dict[str, Any] | None:
    """The scores of a model file, if they are kept for this very file and all of `metrics`.

    Args:
        codes: "semantic" or "copilot".
    """
    path = model.parent / KEPT_NAMES[codes]
    if not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored["asked"]["model"] != model.stat().st_mtime_ns:
        return None
    if not {*metrics} <= {*stored["asked"]["metrics"]}:
        return None
    return {key: stored["scores"][key] for key in score_keys(metrics)}


def score(
    model: Path,
    codes: str,
    data: str,
    metrics: Sequence[str],
    device: str = "cpu",
    cache: Path | None = None,
) -> dict[str, Any]:
    """Scores of one code on `data` (fast protocol, mean codes): those kept, or measured and kept.

    What is kept beside a model must be of one `data`: that of its run.

    Args:
        cache: where a packed factor file is unpacked; None: beside the model.
    """
    kept = kept_scores(model, codes, metrics)
    if kept is not None:
        return kept
    values = measured_scores(model, codes, data, metrics, device, cache)
    asked = {"metrics": list(metrics), "model": model.stat().st_mtime_ns}
    path = model.parent / KEPT_NAMES[codes]
    write_text(path, json.dumps({"asked": asked, "scores": values}) + "\n")
    return values


def measured_scores(
    model: Path,
    codes: str,
    data: str,
    metrics: Sequence[str],
    device: str = "cpu",
    cache: Path | None = None,
) -> dict[str, Any]:
    """As `score`, but measured in any case, and not kept."""
    from comfyui_cldis.checkpoint import load_checkpoint
    from comfyui_cldis.evaluate import evaluate_model

    loaded = load_checkpoint(model)
    loaded.networks.to(device)
    found = evaluate_model(
        loaded,
        data,
        metrics,
        codes=codes,
        fast=True,
        with_controls=False,
        with_sampled=False,
        cache_dir=cache or model.parent,
    )
    return {key: found[key] for key in score_keys(metrics)}
