"""Scores kept beside a model are those of that file and of the metrics asked for, or none."""

import json
import os

import pytest

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
    assert scores.kept_scores(model, "semantic", ("mig",)) == {"mig": 0.1}
    assert len(measured) == 1
    # the other code has a file of its own
    assert scores.kept_scores(model, "copilot", ("mig",)) is None


def test_another_metric_or_another_file_is_measured_again(model, measured):
    scores.score(model, "semantic", "heads", ("mig",))
    scores.score(model, "semantic", "heads", ("dci",))
    assert [metrics for _, _, metrics in measured] == [("mig",), ("dci",)]
    stat = model.stat()
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert scores.kept_scores(model, "semantic", ("dci",)) is None
    stored = json.loads((model.parent / "scores.json").read_text("utf-8"))
    assert stored["scores"] == DCI
