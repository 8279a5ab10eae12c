"""How a run ends when it is asked to: after its step in the loop, with a sentence elsewhere."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Handler = Callable[[int, Any], None]


@dataclass
class Stop:
    """Set by a signal: finish the step, save, and end."""

    requested: bool = False


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn Ctrl-C and a termination into a request; handlers are restored at the end."""
    stop = Stop()

    def request(number: int, frame: Any) -> None:
        stop.requested = True

    with _handling(request, signal.SIGINT, *_terminations()):
        yield stop


@contextmanager
def interrupt_on_terminate() -> Iterator[None]:
    """Let a termination end what is going on as Ctrl-C does, with a KeyboardInterrupt."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt, *_terminations()):
        yield


@contextmanager
def stopped_with(sentence: str) -> Iterator[None]:
    """Give a KeyboardInterrupt from within a sentence that says how to resume."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or sentence) from None


def _terminations() -> list[signal.Signals]:
    """SIGTERM, and what a terminal sends when it is closed, unless nohup or another ignores it."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


@contextmanager
def _handling(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    before = {}
    for number in numbers:
        try:
            before[number] = signal.signal(number, handler)
        except ValueError:  # not in the main thread: the caller has other means to stop
            break
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
