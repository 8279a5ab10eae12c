"""What every command does about the console it runs on, once, at its door."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

from .warning import CldisWarning


@contextmanager
def on_console(note: Callable[[str], None]) -> Iterator[None]:
    """Runs a command so that its output cannot undo its work.

    - What the console's encoding lacks, such as Japanese on a Windows console (cp1252) or a byte
      that is not UTF-8 in a file's name, is written as an escape like \\u808c.
    - A reader that goes away (`cldis info | head -1`, a terminal that is closed) is no error: what
      it would have read is dropped, the work is done, and the exit code is that of the work.
    - Warnings of the library are shown as notes, each once; those of Pillow, of metadata that does
      not count (`imaging.reading`), not at all.
    - Where there is no stream at all (pythonw, or one that was closed), nothing is written.

    Other failures to write, such as a full disk, are raised where the output is written or flushed.

    Args:
        note: shows one line to the person at the console.
    """
    with ExitStack() as stack:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is None:  # which libraries that write, such as tqdm, do not expect
                pipe = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            else:
                pipe = stack.enter_context(_tolerant(stream))
            stack.enter_context(redirect(pipe))
        stack.enter_context(_warnings_as_notes(note))
        yield


class _Pipe:
    """A text stream that drops what is written after its reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            _drop(self._stream, error)
            return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            _drop(self._stream, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _tolerant(stream: TextIO) -> Iterator[TextIO]:
    pipe = cast(TextIO, _Pipe(stream))
    errors = getattr(stream, "errors", None)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        yield pipe
    finally:
        try:
            pipe.flush()
        except OSError:  # the command has met it too; Python would complain once more at its end
            _redirect_to_nowhere(stream)
        if reconfigure is not None:
            reconfigure(errors=errors)


def _drop(stream: TextIO, error: OSError) -> None:
    """Sends what `stream` still holds and gets to nowhere, if the error says its reader has gone.

    Raises: the error, if it is another one, such as a full disk.
    """
    is_windows_pipe = sys.platform == "win32" and error.errno == errno.EINVAL  # what it calls it
    is_gone = isinstance(error, BrokenPipeError) or is_windows_pipe
    if not is_gone and not (error.errno == errno.EIO and _is_device(stream)):
        raise error
    _redirect_to_nowhere(stream)


def _is_device(stream: TextIO) -> bool:
    """Whether it is a terminal, even one that was closed, which `isatty` no longer calls one."""
    try:
        return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
    except (OSError, io.UnsupportedOperation):
        return False


def _redirect_to_nowhere(stream: TextIO) -> None:
    with suppress(io.UnsupportedOperation), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextmanager
def _warnings_as_notes(note: Callable[[str], None]) -> Iterator[None]:
    seen: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", CldisWarning)
        warnings.filterwarnings("ignore", module="PIL")
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            text = str(message)
            if not issubclass(category, CldisWarning):
                usual(message, category, *rest)
            elif text not in seen:
                seen.add(text)
                note(f"Note: {text}")

        warnings.showwarning = show
        yield
