"""Files that are written whole or not at all: a kill or a full disk leaves the old one.

The new content is written beside the file under another name, flushed to the disk, and then moved
into place in one step.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENDING = ".tmp"
_MOST_LETTERS = 40  # of the file's own name: file systems limit a name to 255 bytes


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives the path of an empty file to write in place of `path`, and moves it there at the end.

    It lies in the same folder and ends in ".tmp", so a writer that goes by the ending must be told
    the format. If the block raises, `path` stays as it was, and the other file is removed: but for
    Windows, which removes none that is still mapped (`unfinished` finds it). A symbolic link stays
    one: the file that it leads to is replaced. The new file has the permissions of the old one, or
    those of any new file. A device or a pipe is written where it is.

    Raises:
        OSError: the folder does not exist or cannot be written, the disk is full, or `path` is a
            folder. It names `path`, not the temporary file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    temporary = target.with_name(f"{_beginning(target)}{uuid.uuid4().hex[:12]}{ENDING}")
    try:
        with open(temporary, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode
        if target.is_file():
            mode = target.stat().st_mode
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, stat.S_IMODE(mode))  # a writer may have set others
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is not None and error.filename in (None, os.fspath(temporary)):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
    finally:
        with suppress(OSError):  # or it would hide the error of the block
            temporary.unlink()


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file whole or not at all; errors as of `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str, errors: str = "strict") -> None:
    """Writes a file in UTF-8, lines ending as in `text` on every system, as `write_bytes`.

    Args:
        errors: as of `str.encode`, for what UTF-8 cannot hold.
    """
    write_bytes(path, text.encode("utf-8", errors))


def unfinished(path: str | os.PathLike[str]) -> list[Path]:
    """The temporary files of writes of `path` that are under way, or that a kill left behind."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        return []
    beginning = _beginning(target)
    return sorted(
        each
        for each in target.parent.iterdir()
        if each.name.startswith(beginning) and each.name.endswith(ENDING)
    )


def _beginning(target: Path) -> str:
    return f".{target.name[:_MOST_LETTERS]}."
