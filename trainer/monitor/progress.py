"""What a person sees while a run trains: two live lines on a terminal, plain lines elsewhere.

Elsewhere is also a run within another program, such as ComfyUI: it trains in a thread of its own,
and the console belongs to the program.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..training.record import TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_SECONDS = 30.0
PLAIN_RECORDS = 100
# (key of a record, short name, format): losses first, then the closed loop, in nats
SHOWN = (
    ("diffusion", "diff", ".4f"),
    ("embedding", "code", ".3f"),
    ("distillation", "dist", ".4f"),
    ("reconstruction", "rec", ".0f"),
    ("capacity", "C", ".1f"),
    ("kl", "KL", ".1f"),
    ("used", "used", ".2f"),
)

OF_DIFFUSION = ("diffusion", "distillation", "used")


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        step, num_steps: steps done, and of the whole run.
        images_per_sec: recent speed of the training steps, None when not known yet.
        eta_sec: seconds of training left at that speed, None when not known yet.
        record: the last one of the statistics.
    """

    step: int
    num_steps: int
    images_per_sec: float | None
    eta_sec: float | None
    record: TrainingRecord


class Display(Protocol):
    """Shows progress until it is closed."""

    def show(self, progress: Progress) -> None: ...

    def close(self) -> None: ...


def open_display(num_steps: int, first_step: int) -> Display:
    """The display that suits stderr, and who else writes to it."""
    is_command = threading.current_thread() is threading.main_thread()
    # TERM=dumb marks a terminal that cannot move its cursor, as some editors have
    if is_command and sys.stderr.isatty() and not is_dumb_terminal():
        return TerminalDisplay(num_steps, first_step)
    return PlainDisplay()


def is_dumb_terminal() -> bool:
    """Whether the environment says that the terminal knows no escape codes."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def describe_speed(progress: Progress) -> str:
    """Such as "30.3 images/s, 25 min left"; empty when nothing is known yet."""
    parts = []
    if progress.images_per_sec is not None:
        digits = 1 if progress.images_per_sec < 100 else 0
        parts.append(f"{progress.images_per_sec:,.{digits}f} images/s")
    if progress.record.is_warmup:  # its steps are far quicker than those to come
        parts.append("warm-up of the co-pilot")
    elif progress.eta_sec is not None and progress.step < progress.num_steps:
        parts.append(f"{describe_duration(progress.eta_sec)} left")
    return ", ".join(parts)


def describe_duration(seconds: float) -> str:
    """Such as "42 s", "25 min", "3 h 05 min", "2 d 4 h"."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def describe_values(record: TrainingRecord) -> str:
    """Losses and the state of the closed loop in one short line; what is missing is left out.

    So is the diffusion branch as long as it is not trained.
    """
    parts = []
    waits = record.number("diffusion") == 0 and not record.number("embedding")
    for key, name, form in SHOWN:
        value = record.number(key)
        is_idle = value == 0 and key in ("diffusion", "embedding")
        if value is not None and not is_idle and not (waits and key in OF_DIFFUSION):
            parts.append(f"{name} {value:{form}}")
    return "  ".join(parts)


class PlainDisplay:
    """One line about every 30 seconds, or every 100 records; no escape codes, for logs and pipes.

    Args:
        clock: seconds, monotonic; tests pass their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.last_time = -float("inf")
        self.num_silent = 0

    def show(self, progress: Progress) -> None:
        """Write the line when it is time, and always at the end of the run."""
        now = self.clock()
        self.num_silent += 1
        due = now - self.last_time >= PLAIN_SECONDS or self.num_silent >= PLAIN_RECORDS
        if not due and progress.step < progress.num_steps:
            return
        self.last_time, self.num_silent = now, 0
        parts = [
            f"step {progress.step}/{progress.num_steps}",
            describe_speed(progress),
            describe_values(progress.record),
        ]
        sys.stderr.write(" | ".join(part for part in parts if part) + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Nothing is left open."""


class TerminalDisplay:
    """Two lines that stay at the bottom of the terminal: the bar with speed, and the values.

    Args:
        console: where to draw; None is stderr.
    """

    def __init__(self, num_steps: int, first_step: int, console: Console | None = None) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar
        from rich.text import Text

        self.bar = Bar(
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[speed]}", markup=False),
            expand=True,
        )
        self.task = self.bar.add_task("", total=num_steps, completed=first_step, speed="")
        self.values = Text("", no_wrap=True, overflow="ellipsis", style="dim")
        self.live = Live(
            Group(self.bar, self.values),
            console=console or Console(stderr=True),
            auto_refresh=False,  # no thread that takes time from the training
        )
        self.live.start(refresh=True)

    def show(self, progress: Progress) -> None:
        """Draw both lines anew."""
        self.bar.update(self.task, completed=progress.step, speed=describe_speed(progress))
        self.values.plain = describe_values(progress.record)
        self.live.refresh()

    def close(self) -> None:
        """Leave the last state on the screen."""
        self.live.stop()
