"""Lists and reads the picture files of a folder or of a zip file, nested folders included."""

from __future__ import annotations

import os
import zipfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from .decode import EXTENSIONS

MAX_FILE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class PictureFile:
    """One listed file; `stamp` changes when its content does."""

    name: str  # relative, with forward slashes
    num_bytes: int
    stamp: int


class PictureFiles(Protocol):
    """A collection of picture files that is open for reading; `read` may be called by threads."""

    listed: list[PictureFile]
    unreadable: list[tuple[str, str]]  # folders that could not be listed, with the reason

    def read(self, file: PictureFile) -> bytes: ...


def open_files(path: Path) -> AbstractContextManager[PictureFiles]:
    """Opens a folder or a zip file.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: neither a folder nor a readable zip file.
    """
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise FileNotFoundError(
            f"got data {str(path)!r}, which does not exist; expected 'heads', a folder or a .zip "
            "file of pictures; check the path"
        )
    if path.suffix.lower() != ".zip":
        raise ValueError(
            f"got data {str(path)!r}; expected 'heads', a folder or a .zip file of pictures; "
            "put single pictures into a folder"
        )
    try:
        return _Zip(path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"got data {str(path)!r}, which is not a readable zip file ({error}); "
            "expected a .zip file of pictures; copy or create it again"
        ) from error


def printable(name: str) -> str:
    """Escapes what a file name may hold but a terminal or a JSON file may not."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_picture(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") for part in parts) or parts[0] == "__MACOSX"
    return not hidden and name.lower().endswith(EXTENSIONS)


def _check_length(num_bytes: int) -> None:
    if num_bytes > MAX_FILE_BYTES:
        raise ValueError(f"{num_bytes / 2**20:.0f} MiB; at most {MAX_FILE_BYTES // 2**20} MiB")


@dataclass
class _Folder(AbstractContextManager["_Folder"]):
    root: Path
    listed: list[PictureFile] = field(init=False)
    unreadable: list[tuple[str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.listed = []
        seen: set[str] = set()
        # Linked folders are followed, each real folder once, so that a loop ends.
        for folder, subfolders, names in os.walk(self.root, onerror=self._note, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                subfolders.clear()
                continue
            seen.add(real)
            subfolders.sort()
            for name in names:
                self._add(Path(folder, name))
        self.listed.sort(key=lambda file: file.name)

    def _add(self, path: Path) -> None:
        name = path.relative_to(self.root).as_posix()
        if not _is_picture(name):
            return
        try:
            status = path.stat()
        except OSError as error:  # a broken link
            self.unreadable.append((printable(name), error.strerror or str(error)))
            return
        self.listed.append(PictureFile(name, status.st_size, status.st_mtime_ns))

    def _note(self, error: OSError) -> None:
        self.unreadable.append((printable(str(error.filename)), error.strerror or str(error)))

    def read(self, file: PictureFile) -> bytes:
        _check_length(file.num_bytes)
        return (self.root / file.name).read_bytes()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


class _Zip(AbstractContextManager["_Zip"]):
    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self._entries = {
            entry.filename: entry
            for entry in self._archive.infolist()
            if not entry.is_dir() and _is_picture(entry.filename)
        }
        self.listed = [
            PictureFile(name, entry.file_size, entry.CRC)
            for name, entry in sorted(self._entries.items())
        ]
        self.unreadable: list[tuple[str, str]] = []

    def read(self, file: PictureFile) -> bytes:
        # zipfile stops at the declared length, so an entry cannot grow beyond what is checked.
        _check_length(file.num_bytes)
        return self._archive.read(self._entries[file.name])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._archive.close()
