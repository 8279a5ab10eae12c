"""What the commands print while they work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[Any], None]]:
    """A progress bar on stderr, hidden when that is no terminal; yields the `on_step` callback."""
    from tqdm import tqdm

    with tqdm(desc=text, unit="step", file=sys.stderr, leave=False, disable=None) as bar:

        def on_step(step: Any) -> None:
            bar.total = step.total
            bar.update(1)

        yield on_step


@contextmanager
def share_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar of the share done, in [0, 1]; yields what takes the stage's name and that share."""
    from tqdm import tqdm

    with tqdm(total=1.0, file=sys.stderr, leave=False, disable=None, bar_format=BAR) as bar:

        def on_progress(stage: str, done: float) -> None:
            bar.set_description_str(stage)
            bar.n = done
            bar.refresh()

        yield on_progress


@contextmanager
def progress_lines(text: str) -> Iterator[Callable[[Any], None]]:
    """A line on stderr at every quarter of the work, for where a bar cannot be drawn."""
    reported = 0

    def on_step(step: Any) -> None:
        nonlocal reported
        quarter = 4 * (step.index + 1) // step.total
        if quarter > reported:
            reported = quarter
            complain(f"{text}: {25 * quarter} %")

    yield on_step


def report(path: Path, size: tuple[int, int], start: float) -> None:
    print(f"wrote {path} ({size[0]} x {size[1]}) in {time.perf_counter() - start:.1f} s")


def complain(text: str) -> None:
    print(text, file=sys.stderr)
