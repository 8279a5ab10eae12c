"""One command at a time in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import OutputTaken
from .training.distributed import is_first_process

LOCK_NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other commands out of a run's folder; the processes of one run share the lock.

    The lock file stays. A folder that was made for a command and holds nothing else, because the
    command was refused, goes again, while the lock is still held: filelock gives nobody a lock on
    a file that is no longer in its place.

    Raises:
        OutputTaken: another training uses the folder.
        ValueError: it is a file.
        OSError: the folder cannot be made.
    """
    check_folder(folder)
    if not is_first_process():
        yield
        return
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"The folder {folder} cannot be made: {error.strerror}. Choose another output folder."
        ) from error
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except (Timeout, FileNotFoundError):  # the latter: a refused command just removed its folder
        raise OutputTaken(f"Another training uses {folder}.", "Wait for it or stop it") from None
    try:
        yield
    finally:
        if is_new and [path.name for path in folder.iterdir()] == [LOCK_NAME]:
            with suppress(OSError):  # Windows removes no open file
                (folder / LOCK_NAME).unlink()
                folder.rmdir()
        lock.release()


def check_folder(folder: Path) -> None:
    """Raises a ValueError where a run's folder is a file."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The output folder {folder} is a file. Give a folder, or a new name.")
