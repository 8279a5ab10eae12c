"""Labelled scores of a finished run's codes, kept beside its model file for the next time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
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


def kept_scores(
    model: Path, codes: str, data: str, metrics: Sequence[str]
) -> dict[str, Any] | None:
    """The scores of a model file, if they are kept for this very file and all of `metrics`.

    None where they were taken on other data, by another version of the metrics or by another
    protocol, and where what is kept cannot be read: then they are to be measured.

    Args:
        codes: "semantic" or "copilot".
    """
    path, asked = model.parent / KEPT_NAMES[codes], _asked(model, data, metrics)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        settings = asked.pop("settings").items()
        if any(stored["asked"][key] != value for key, value in asked.items()):
            return None
        if any(stored["asked"]["settings"][name] != value for name, value in settings):
            return None
        scores = {key: stored["scores"][key] for key in score_keys(metrics)}
    except (OSError, ValueError, KeyError, TypeError):  # none, of before, or damaged
        return None
    is_readable = all(value is None or type(value) in (int, float) for value in scores.values())
    return scores if is_readable else None


def _asked(model: Path, data: str, metrics: Sequence[str]) -> dict[str, Any]:
    """All that the scores depend on but the codes, JSON-able."""
    from comfyui_cldis.metrics import METRICS
    from comfyui_cldis.metrics.evaluation import VERSION

    settings = {name: asdict(METRICS[name].fast) for name in metrics}
    return {
        "model": model.stat().st_mtime_ns,
        "data": data,
        "version": VERSION,
        "settings": json.loads(json.dumps(settings)),
    }


def score(
    model: Path,
    codes: str,
    data: str,
    metrics: Sequence[str],
    device: str = "cpu",
    cache: Path | None = None,
) -> dict[str, Any]:
    """Scores of one code on `data` (fast protocol, mean codes): those kept, or measured and kept.

    Args:
        cache: where a packed factor file is unpacked; None: beside the model.
    """
    kept = kept_scores(model, codes, data, metrics)
    if kept is not None:
        return kept
    values = measured_scores(model, codes, data, metrics, device, cache)
    content = {"asked": _asked(model, data, metrics), "scores": values}
    write_text(model.parent / KEPT_NAMES[codes], json.dumps(content) + "\n")
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
