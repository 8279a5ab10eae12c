"""Scores kept beside a model are those of that file and of the metrics asked for, or none."""

import json
import os
from dataclasses import replace

import pytest

from comfyui_cldis.metrics import METRICS
from trainer.sweep import scores

DCI = {"dci_disentanglement": 0.3, "dci_completeness": 0.4, "dci_informativeness": 0.5}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def measured(monkeypatch):
    """Answers without a model; the calls are listed."""
    calls = []

    def measure(model, codes, data, metrics, device="cpu", cache=None):
        calls.append((codes, data, tuple(metrics)))
        return {key: {**DCI, "mig": 0.1}[key] for key in scores.score_keys(metrics)}

    monkeypatch.setattr(scores, "measured_scores", measure)
    return calls


def test_what_is_kept_answers_for_the_same_file_and_for_fewer_metrics(model, measured):
    first = scores.score(model, "semantic", "heads", ("dci", "mig"))
    assert first == {**DCI, "mig": 0.1} and len(measured) == 1
    assert scores.score(model, "semantic", "heads", ("dci", "mig")) == first
    assert scores.kept_scores(model, "semantic", "heads", ("mig",)) == {"mig": 0.1}
    assert len(measured) == 1
    # the other code has a file of its own
    assert scores.kept_scores(model, "copilot", "heads", ("mig",)) is None


def test_another_metric_or_another_file_is_measured_again(model, measured):
    scores.score(model, "semantic", "heads", ("mig",))
    scores.score(model, "semantic", "heads", ("dci",))
    assert [metrics for _, _, metrics in measured] == [("mig",), ("dci",)]
    stat = model.stat()
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert scores.kept_scores(model, "semantic", "heads", ("dci",)) is None
    stored = json.loads((model.parent / "scores.json").read_text("utf-8"))
    assert stored["scores"] == DCI


def test_other_data_another_version_and_another_protocol_are_measured_again(
    model, measured, monkeypatch
):
    scores.score(model, "semantic", "heads", ("mig",))
    assert scores.kept_scores(model, "semantic", "shapes3d-equivalent", ("mig",)) is None
    with monkeypatch.context() as patch:
        patch.setattr("comfyui_cldis.metrics.evaluation.VERSION", 10_000)
        assert scores.kept_scores(model, "semantic", "heads", ("mig",)) is None
    with monkeypatch.context() as patch:
        few = replace(METRICS["mig"], fast=replace(METRICS["mig"].fast, num_train=7))
        patch.setitem(METRICS, "mig", few)
        assert scores.kept_scores(model, "semantic", "heads", ("mig",)) is None
    assert scores.kept_scores(model, "semantic", "heads", ("mig",)) == {"mig": 0.1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"asked": 3}',
        b"\xff\xfe",
        b'{"asked": {"metrics": ["mig"], "model": MODEL}, "scores": {"mig": 0.2}}',  # of before
    ],
)
def test_what_cannot_be_read_or_has_no_version_is_measured_again(model, measured, content):
    path = model.parent / "scores.json"
    path.write_bytes(content.replace(b"MODEL", str(model.stat().st_mtime_ns).encode()))
    assert scores.score(model, "semantic", "heads", ("mig",)) == {"mig": 0.1}
    stored = json.loads(path.read_text("utf-8"))
    assert stored["scores"] == {"mig": 0.1}
    stored["scores"]["mig"] = "0.1"
    path.write_text(json.dumps(stored))
    assert scores.kept_scores(model, "semantic", "heads", ("mig",)) is None
