"""How long a node still takes, as a line of text under it.

ComfyUI's bar shows how much is done, and no time. All its versions since 0.3.64 take a text for a
node; where one does not, nothing is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..wording import counted
from .server import running_node, running_server

SILENT_SEC = 2.0  # work that is done sooner needs no words
GAP_SEC = 0.5  # between two texts


class Remaining:
    """Says how much of some work is done and how many seconds are left, twice a second at most.

    Args:
        total: units of the whole work, 1 or more.
        noun: what a unit is called, such as "image"; "" shows the time alone.
        clock: seconds that only grow.
    """

    def __init__(
        self, total: int, noun: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = max(total, 1)
        self._noun = noun
        self._clock = clock
        self._start_sec = clock()
        self._next_sec = self._start_sec + SILENT_SEC
        self._done = 0.0
        self._first: tuple[float, float] | None = None  # when, and how much was done
        self._is_shown = False

    def show(self, done: float) -> None:
        """Tell that `done` of the units are finished; a part of a unit counts as that part."""
        self._done = done
        now_sec = self._clock()
        # Neither loading the model nor what an earlier run has done tells of the speed.
        first_sec, first_done = self._first = self._first or (now_sec, done)
        if now_sec < self._next_sec or not first_done < done < self._total:
            return
        self._next_sec = now_sec + GAP_SEC
        left_sec = (now_sec - first_sec) * (self._total - done) / (done - first_done)
        text = f"{self._count(int(done))}{duration(left_sec)} left"
        self._is_shown = say(text) or self._is_shown

    def close(self) -> None:
        """Replaces the last text, if any, by what has become of the work."""
        if not self._is_shown:
            return
        if self._done < self._total:
            say(f"{self._count(int(self._done))}stopped")
        else:
            units = f"{counted(self._total, self._noun)} in " if self._noun else ""
            say(units + duration(self._clock() - self._start_sec))

    def _count(self, done: int) -> str:
        if not self._noun or self._total == 1:
            return ""
        return f"{done:,} of {counted(self._total, self._noun)}, "


def duration(seconds: float) -> str:
    """Such as "12 s", "4 min", "1 h 20 min"."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def say(text: str) -> bool:
    """Puts a text under the node that is running, for the user who started it; False if not."""
    server = running_server()
    context = running_node()
    client = getattr(server, "client_id", None)
    send = getattr(server, "send_progress_text", None)
    if context is None or client is None or send is None:
        return False
    send(text, context.node_id, client)
    return True
