"""Looks whether zip files hold images, by the names in their directories alone.

Nothing is unpacked, and at most a MiB of each directory is read, so a hostile or huge file costs no
more than an honest one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_ZIPS = 100  # looked into, of one folder
MAX_DIRECTORY_BYTES = 2**20

# APPNOTE.TXT of PKWARE, 4.3.12 to 4.3.16
_END, _END_BYTES = b"PK\x05\x06", 22
_END_64, _END_64_BYTES = b"PK\x06\x06", 56
_LOCATOR_64, _LOCATOR_64_BYTES = b"PK\x06\x07", 20
_ENTRY, _ENTRY_BYTES = b"PK\x01\x02", 46
_MAX_COMMENT_BYTES = 2**16 - 1


def names_in(path: Path) -> Iterator[str]:
    """The names in a zip file, as far as the first MiB of its directory goes.

    They are read as Latin-1, which is enough for their endings and folders. A file that is no zip
    file, or a damaged one, has none.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        directory = _directory(file)
    place = 0
    while directory[place : place + 4] == _ENTRY and place + _ENTRY_BYTES <= len(directory):
        lengths = struct.unpack_from("<HHH", directory, place + 28)  # name, extra field, comment
        start = place + _ENTRY_BYTES
        name = directory[start : start + lengths[0]]
        if len(name) < lengths[0]:
            return  # cut off by the limit
        yield name.decode("latin-1").replace("\\", "/")
        place = start + sum(lengths)


def _directory(file: BinaryIO) -> bytes:
    """The beginning of the central directory; empty when there is none."""
    length = file.seek(0, os.SEEK_END)
    tail_start = max(
        0, length - _END_BYTES - _MAX_COMMENT_BYTES - _END_64_BYTES - _LOCATOR_64_BYTES
    )
    file.seek(tail_start)
    tail = file.read(length - tail_start)
    end = tail.rfind(_END, 0, max(0, len(tail) - _END_BYTES + len(_END)))
    if end < 0:
        return b""
    (size,) = struct.unpack_from("<I", tail, end + 12)
    # a file of more than 4 GiB or 65,535 entries has a second, longer record before the first
    locator = end - _LOCATOR_64_BYTES
    longer = locator - _END_64_BYTES
    if longer >= 0 and tail[locator : locator + 4] == _LOCATOR_64:
        if tail[longer : longer + 4] != _END_64:
            return b""
        end = longer
        (size,) = struct.unpack_from("<Q", tail, longer + 40)
    # counted from the end, so that what stands before the zip file does no harm
    start = tail_start + end - size
    if start < 0:
        return b""
    file.seek(start)
    return file.read(min(size, MAX_DIRECTORY_BYTES))
