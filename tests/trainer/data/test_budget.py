"""The shared limit: it is never exceeded, is given back, and lets no one wait for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trainer.data.budget import Budget


def test_threads_together_never_hold_more_than_the_total():
    budget, lock = Budget(10), threading.Lock()
    held = peak = 0

    def work(amount):
        nonlocal held, peak
        with budget.lend(amount):
            with lock:
                held += amount
                peak = max(peak, held)
            threading.Event().wait(0.001)
            with lock:
                held -= amount

    amounts = np.random.default_rng(0).integers(0, 11, 200).tolist()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, amounts))
    assert 5 < peak <= 10
    assert held == 0


def test_failure_gives_back():
    budget = Budget(3)
    for _ in range(3):
        with pytest.raises(KeyError), budget.lend(3):
            raise KeyError


def test_more_than_the_total_is_refused_and_not_waited_for():
    with pytest.raises(ValueError, match="4 are more than the 3"), Budget(3).lend(4):
        pass
