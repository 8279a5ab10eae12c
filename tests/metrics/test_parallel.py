"""Work in threads: results in order, progress from the calling thread, and stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from comfyui_cldis.metrics.parallel import Step, num_threads, run_parallel


def test_results_come_in_the_order_of_the_jobs() -> None:
    heard: list[float] = []
    callers: set[int] = set()

    def report(fraction: float) -> None:
        heard.append(fraction)
        callers.add(threading.get_ident())

    def job_of(number: int) -> Callable[[Step], int]:
        def job(step: Step) -> int:
            time.sleep(0.02 * (4 - number))
            assert step(1.0) is False
            return number

        return job

    assert run_parallel([job_of(number) for number in range(4)], report) == [0, 1, 2, 3]
    assert heard[-1] == 1 and heard == sorted(heard)
    assert callers == {threading.get_ident()}


def test_an_exception_in_the_report_stops_the_jobs() -> None:
    ended = threading.Event()

    def endless(step: Step) -> None:
        while not step(0.5):
            time.sleep(0.01)
        ended.set()

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_parallel([endless], cancel)
    assert ended.is_set()


def test_an_exception_in_a_job_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def endless(step: Step) -> None:
        while not step(0.5):
            time.sleep(0.01)

    def fail(step: Step) -> None:
        raise ValueError("the job's own words")

    with pytest.raises(ValueError, match="the job's own words"):
        run_parallel([endless, fail], lambda fraction: None)


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("0", None), ("many", None)])
def test_threads_follow_the_usual_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert num_threads() == expected or (expected is None and num_threads() >= 1)
