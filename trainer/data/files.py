"""Lists and reads the image files of a folder or of a zip file, nested folders included."""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from comfyui_cldis.datasets.names import FACTOR_NAMES
from comfyui_cldis.imaging.limits import ENDINGS
from comfyui_cldis.wording import hint, printable

from .zip_entries import name_of, open_zip, read_entry, why_packed
from .zips import MAX_ZIPS, names_in

MAX_FILE_BYTES = 256 * 2**20
ZIP = ".zip"
HIDDEN = "hidden"  # among the endings, which all start with a dot

_SOURCES = (
    "a folder or .zip of images, a factor data file (.h5, .npz), or one of "
    f"{', '.join(FACTOR_NAMES)}"
)


@dataclass(frozen=True)
class ImageFile:
    """One listed file; `stamp` changes when its content does."""

    name: str  # relative, with forward slashes
    num_bytes: int
    stamp: int


class ImageFiles(Protocol):
    """A collection of image files that is open for reading; `read` may be called by threads."""

    listed: list[ImageFile]
    unreadable: list[tuple[str, str]]  # what could not be listed, with the reason
    ignored: Counter[str]  # endings of files that are no images to us, or HIDDEN; their number
    zips: list[str]  # those of the first MAX_ZIPS zip files among them that hold images

    def read(self, file: ImageFile) -> bytes: ...


def open_files(path: Path) -> AbstractContextManager[ImageFiles]:
    """Opens a folder or a zip file.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: neither a folder nor a readable zip file.
    """
    if path.is_dir():
        return nullcontext(_Folder(path))
    if not path.exists():
        raise FileNotFoundError(
            f"There is no folder or file {path}.{hint(str(path))} Give {_SOURCES}."
        )
    if path.suffix.lower() in ENDINGS:
        raise ValueError(
            f"{path} is a single image. Put some hundreds of images into a folder and give that."
        )
    if path.suffix.lower() != ZIP:
        raise ValueError(f"{path} is a file of a kind that holds no images. Give {_SOURCES}.")
    return closing(_Zip(path))


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith(".") for part in parts) or parts[0] == "__MACOSX"


def _leads_out(name: str) -> bool:
    """Whether a name in a zip file is absolute or climbs with "..", as no honest program writes."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or parts[0].endswith(":")


def _ending(name: str) -> str:
    """The ending in small letters with its dot; "" when there is none or it is not a plain one."""
    ending = os.path.splitext(name)[1].lower()
    return ending if len(ending) <= 9 and ending[1:].isalnum() else ""


def _holds_images(path: Path) -> bool:
    """Whether a zip file names an image; False for one that cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            return False
        return any(
            name.lower().endswith(ENDINGS) and not _is_hidden(name) for name in names_in(path)
        )
    except OSError:
        return False


def _check_length(num_bytes: int) -> None:
    if num_bytes > MAX_FILE_BYTES:
        raise ValueError(f"{num_bytes / 2**20:.0f} MiB; at most {MAX_FILE_BYTES // 2**20} MiB")


@dataclass
class _Folder:
    root: Path
    listed: list[ImageFile] = field(init=False, default_factory=list)
    unreadable: list[tuple[str, str]] = field(init=False, default_factory=list)
    ignored: Counter[str] = field(init=False, default_factory=Counter)
    zips: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        hidden: list[str] = []  # folders; what a link shows of them is not hidden
        # Linked folders are followed, each real folder once, so that a loop ends.
        for folder, subfolders, names in os.walk(self.root, onerror=self._note, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                subfolders.clear()
                continue
            seen.add(real)
            relative = Path(folder).relative_to(self.root).as_posix()
            prefix = "" if relative == "." else f"{relative}/"
            hidden += [
                os.path.join(folder, each) for each in subfolders if _is_hidden(prefix + each)
            ]
            subfolders[:] = sorted(each for each in subfolders if not _is_hidden(prefix + each))
            for name in names:
                self._add(prefix + name, os.path.join(folder, name))
        for top in hidden:
            for folder, _, names in os.walk(top):
                if names and (real := os.path.realpath(folder)) not in seen:
                    seen.add(real)
                    self.ignored[HIDDEN] += len(names)
        self.listed.sort(key=lambda file: file.name)
        looked_into = sorted(self.zips)[:MAX_ZIPS]
        self.zips = [printable(name) for name in looked_into if _holds_images(self.root / name)]

    def _add(self, name: str, path: str) -> None:
        if _is_hidden(name):
            self.ignored[HIDDEN] += 1
            return
        if not name.lower().endswith(ENDINGS):
            self.ignored[_ending(name)] += 1
            if _ending(name) == ZIP:
                self.zips.append(name)
            return
        try:
            status = os.stat(path)
        except OSError as error:
            reason = error.strerror or str(error)
            if os.path.islink(path):
                reason = f"a link that leads nowhere: {printable(os.readlink(path))}"
            self.unreadable.append((printable(name), reason))
            return
        if stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            self.listed.append(ImageFile(name, status.st_size, status.st_mtime_ns))
        else:
            self.unreadable.append((printable(name), "not a plain file"))

    def _note(self, error: OSError) -> None:
        self.unreadable.append((printable(str(error.filename)), error.strerror or str(error)))

    def read(self, file: ImageFile) -> bytes:
        _check_length(file.num_bytes)
        return (self.root / file.name).read_bytes()


class _Zip:
    def __init__(self, path: Path) -> None:
        self._archive = open_zip(path)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self.ignored: Counter[str] = Counter()
        self.unreadable: list[tuple[str, str]] = []
        self.zips: list[str] = []  # a zip file in a zip file would have to be unpacked first
        for entry in self._archive.infolist():
            if not entry.filename.endswith("/"):  # a folder
                self._add(entry, name_of(entry))
        self.listed = [
            ImageFile(name, entry.file_size, entry.CRC)
            for name, entry in sorted(self._entries.items())
        ]

    def _add(self, entry: zipfile.ZipInfo, name: str) -> None:
        if not name:  # of a damaged directory
            self.ignored[""] += 1
        elif _leads_out(name):
            reason = "its name leads out of the zip file; create the file again without that"
            self.unreadable.append((printable(name), reason))
        elif _is_hidden(name):
            self.ignored[HIDDEN] += 1
        elif not name.lower().endswith(ENDINGS):
            self.ignored[_ending(name)] += 1
        elif fault := why_packed(entry):
            self.unreadable.append((printable(name), fault))
        else:
            self._keep(entry, name)

    def _keep(self, entry: zipfile.ZipInfo, name: str) -> None:
        """A name may stand in a zip file again and again: each content counts, and once."""
        stem, ending = os.path.splitext(name)
        number = 1
        while (other := self._entries.get(name)) is not None:
            if (other.CRC, other.file_size) == (entry.CRC, entry.file_size):
                return
            number += 1
            name = f"{stem} ({number}){ending}"
        self._entries[name] = entry

    def read(self, file: ImageFile) -> bytes:
        # zipfile stops at the declared length, so an entry cannot grow beyond what is checked.
        _check_length(file.num_bytes)
        return read_entry(self._archive, self._entries[file.name])

    def close(self) -> None:
        self._archive.close()
