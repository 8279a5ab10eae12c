"""Opens zip files and reads their entries; whatever fails names the zip file, not the images in it.

Python unpacks the methods Deflate, bzip2 and LZMA (and Zstandard from 3.14 on), without a password.
"""

from __future__ import annotations

import errno
import zipfile
from pathlib import Path

_READABLE = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
    getattr(zipfile, "ZIP_ZSTANDARD", zipfile.ZIP_STORED),
}
# APPNOTE.TXT of PKWARE, 4.4.4 and 4.4.5
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ENCRYPTED, _STRONGLY_ENCRYPTED, _NAMED_IN_UTF8 = 1 << 0, 1 << 6, 1 << 11
_LARGEST_VERSION = 63  # of the format, 6.3; Python refuses a file that asks for a later one

REMEDY = "unpack it and give the folder, or create it again with the usual method, Deflate"
ZIP_FAULT = "the zip file is"  # how every clause of this file begins


class ZipEntryError(ValueError):
    """An entry cannot be unpacked; the text is a clause that begins with ZIP_FAULT."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Opens a zip file and reads its directory.

    Raises:
        ValueError: no zip file, a damaged directory, or one that Python does not read.
        OSError: the file cannot be read.
    """
    try:
        return zipfile.ZipFile(path)
    except OSError:
        raise
    except NotImplementedError as error:  # "zip file version 7.0"
        raise ValueError(
            f"{path} asks for a newer reader ({error}) than Python has, which knows version "
            f"{_LARGEST_VERSION / 10} of the format. {as_sentence(REMEDY)}"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} has a name that is marked as UTF-8 and is not ({error.object!r}). "
            f"{as_sentence(REMEDY)}"
        ) from error
    except Exception as error:  # a damaged directory can raise anything
        raise ValueError(
            f"{path} is not a readable zip file ({error or type(error).__name__}): its directory, "
            "which stands at its end, is damaged or cut off. Copy or create it again."
        ) from error


def as_sentence(clause: str) -> str:
    """A clause with a capital and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."


def why_packed(entry: zipfile.ZipInfo) -> str | None:
    """What keeps an entry from being unpacked, as far as the directory shows; None: nothing."""
    if entry.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED):
        return f"{ZIP_FAULT} encrypted; {REMEDY}, without a password"
    if entry.compress_type not in _READABLE:
        method = _METHODS.get(entry.compress_type, f"method {entry.compress_type}")
        return f"{ZIP_FAULT} compressed with {method}, which Python does not unpack; {REMEDY}"
    return None


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content of an entry, which is never longer than the directory says.

    Raises:
        ZipEntryError: damaged, or packed in a way that Python does not know.
        OSError: the system does not read the zip file, which may pass.
    """
    try:
        return archive.read(entry)
    except MemoryError:
        raise
    except Exception as error:  # a damaged entry can raise anything
        # EINVAL: the directory sends Python to a place before the beginning
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ZipEntryError(
            f"{ZIP_FAULT} damaged here ({error or type(error).__name__}); copy or create it again"
        ) from error


def name_of(entry: zipfile.ZipInfo) -> str:
    """The name of an entry; bytes of no stated encoding are UTF-8 if they can be.

    The format's own rule for those is the code page 437 of DOS, by which programs for macOS and
    Linux do not go.
    """
    if entry.flag_bits & _NAMED_IN_UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename
