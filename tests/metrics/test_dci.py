"""DCI's factors are fitted side by side: same numbers, progress in order, and a way to stop."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from comfyui_cldis.metrics import from_arrays
from comfyui_cldis.metrics.dci import FAST, DciSettings, dci

pytest.importorskip("sklearn")


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 3, size=(300, 3))
    return factors @ rng.standard_normal((3, 4)) + 0.1 * rng.standard_normal((300, 4)), factors


def test_numbers_do_not_depend_on_the_number_of_jobs(
    rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for jobs in ("1", "2"):
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", jobs)
        found.append(dci(from_arrays(*rows), np.random.default_rng(1), FAST))
    assert found[0] == found[1]


def test_progress_comes_from_the_calling_thread_and_in_order(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    heard: list[float] = []
    callers: set[int] = set()

    def report(fraction: float) -> None:
        heard.append(fraction)
        callers.add(threading.get_ident())

    dci(from_arrays(*rows), np.random.default_rng(1), FAST, report)
    assert heard == pytest.approx([1 / 3, 2 / 3, 1])
    assert callers == {threading.get_ident()}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_exception_in_the_report_stops_the_other_fits(
    monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    """The first factor has two values, the others sixty: they would grow for minutes."""
    rng = np.random.default_rng(0)
    factors = rng.integers(0, (2, 60, 60), size=(600, 3))
    codes = rng.standard_normal((600, 4))
    settings = DciSettings(num_train=600, num_test=100, num_trees=600)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", jobs)
    threads = threading.active_count()

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dci(from_arrays(codes, factors), rng, settings, cancel)
    while threading.active_count() > threads and time.monotonic() - start < 20:
        time.sleep(0.01)  # a thread that is to end takes a moment to be gone
    assert threading.active_count() <= threads and time.monotonic() - start < 20
