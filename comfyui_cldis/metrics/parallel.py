"""Independent pieces of work in threads, with progress and a way to stop all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from .representation import Report

Step = Callable[[float], bool]  # tells the fraction done; True asks the job to stop
T = TypeVar("T")

_REPORT_SECONDS = 0.2


def num_threads() -> int:
    """OMP_NUM_THREADS where it is set, as for other numeric work; else the usable processors."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_parallel(jobs: Sequence[Callable[[Step], T]], report: Report) -> list[T]:
    """The results of the jobs, in order. Jobs should spend their time outside the interpreter lock.

    `report` is called from the calling thread. An exception in it or in a job stops the others at
    their next step and passes through.
    """
    done = [0.0] * len(jobs)
    stop = threading.Event()

    def step_of(index: int) -> Step:
        def step(fraction: float) -> bool:
            done[index] = fraction
            return stop.is_set()

        return step

    with ThreadPoolExecutor(min(num_threads(), len(jobs))) as pool:
        futures = [pool.submit(job, step_of(index)) for index, job in enumerate(jobs)]
        try:
            pending = set(futures)
            while pending:
                finished, pending = wait(pending, _REPORT_SECONDS, FIRST_EXCEPTION)
                for future in finished:
                    future.result()  # raises what the job raised
                report(sum(done) / len(jobs))
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
