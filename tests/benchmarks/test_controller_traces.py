"""The traces of a run whose records differ in what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.controller_traces import draw_traces, read_run
from trainer.config.settings import load_preset
from trainer.monitor.metrics_file import STATS_NAME, append_record
from trainer.training.checkpoint import check_config, write_config
from trainer.training.record import TrainingRecord


def test_what_a_warm_up_does_not_know_is_nan(tmp_path: Path) -> None:
    """The semantic encoder has no KL there, and some bottlenecks have no C."""
    write_config(tmp_path, check_config(tmp_path, load_preset("tiny32"), "heads"))
    for record in (
        TrainingRecord(step=1, is_warmup=True, kl=2.0, capacity=3.0),
        TrainingRecord(step=2, kl=2.5, encoder_kl=4.0, capacity=float("nan")),
    ):
        append_record(tmp_path / STATS_NAME, record)
    config, series = read_run(tmp_path)
    np.testing.assert_equal(series["encoder_kl"], [np.nan, 4.0])
    np.testing.assert_equal(series["capacity"], [3.0, np.nan])
    assert series["step"].tolist() == [1, 2] and series["kl"].tolist() == [2.0, 2.5]
    assert draw_traces({"a row": [(config, series)]}).startswith(b"\x89PNG")
