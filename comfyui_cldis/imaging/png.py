"""Takes out of a PNG file what is beside its pixels.

Pillow refuses a PNG file for its texts and its colour profile, when they are long or damaged. The
pixels need none of it, so they are handed to it alone, with what may say which side is up.

Source: Portable Network Graphics (PNG) Specification, W3C, sections 5.3 and 11.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

from .limits import MAX_PROFILE_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = 2**20  # of a text that may hold the orientation, which takes some KiB

_ANCILLARY = 0x20  # a small first letter: the image can be shown without this chunk
_TRANSPARENCY = b"tRNS"
_PROFILE = b"iCCP"
_EXIF = b"eXIf"
_DENSITY = b"pHYs"
_DENSITY_BYTES = 9
_PLAIN_TEXTS = (b"tEXt", b"iTXt")
_TURNING_TEXTS = (b"XML:com.adobe.xmp\0\0", b"Raw profile type exif\0")  # not packed


def pixels_only(file: BinaryIO) -> tuple[BinaryIO, bytes | None]:
    """The same image without texts, times and further frames; and its colour profile.

    A damaged or cut off file stays as it is from the damage on.

    Args:
        file: a whole PNG file, which can be sought.

    Returns:
        A file to read from its start, and the unpacked profile, None without a usable one.
    """
    file.seek(0, io.SEEK_END)
    length = file.tell()
    file.seek(len(SIGNATURE))
    pixels: list[bytes] = []
    notes: list[bytes] = []
    profile: bytes | None = None
    density = b""
    while header := file.read(8):
        if len(header) < 8:
            pixels.append(header)
            break
        size, name = struct.unpack(">I4s", header)
        if size + 4 > length - file.tell() or not name.isalpha():
            pixels += [header, file.read()]
            break
        if not name[0] & _ANCILLARY or name == _TRANSPARENCY:
            pixels += [header, file.read(size + 4)]
        elif name == _PROFILE:
            profile = _unpacked(file.read(size)) or profile
            file.seek(4, io.SEEK_CUR)
        elif name == _DENSITY and size == _DENSITY_BYTES:
            density = _chunk(name, file.read(size))
            file.seek(4, io.SEEK_CUR)
        elif name == _EXIF or (name in _PLAIN_TEXTS and size <= MAX_TEXT_BYTES):
            content = file.read(size)
            file.seek(4, io.SEEK_CUR)
            if name == _EXIF or content.startswith(_TURNING_TEXTS):
                notes.append(_chunk(name, content))
        else:
            file.seek(size + 4, io.SEEK_CUR)
    # The first chunk is the header with the size; Pillow wants to know the rest before the pixels.
    parts = [SIGNATURE, *pixels[:2], density, *notes[:4], *pixels[2:]]
    return io.BytesIO(b"".join(parts)), profile


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with the right checksum, which a damaged one may not have had."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _unpacked(content: bytes) -> bytes | None:
    """The profile in an iCCP chunk; None for one that is damaged or over the limit."""
    _, _, packed = content.partition(b"\0")
    if packed[:1] != b"\0":  # the only method of compression there is
        return None
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if stream.eof else None
