"""What an image file says beside its pixels: EXIF data, words, resolution, compression, frames.

All of it may be damaged, and none of that counts against the pixels: what cannot be read is not
there.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, JpegImagePlugin

from .png import SIGNATURE

ORIENTATION = 0x0112
SWAPPING = (5, 6, 7, 8)  # orientations in which rows were stored for columns
_EXIF_IFD = 0x8769
_WIDTH, _HEIGHT = 0xA002, 0xA003  # of the pixels, in that IFD
# Tags that tell how a TIFF file stores its pixels, which another file does not; with the copies of
# the colour profile, XMP and Photoshop data, of which the last may hold a small preview.
_OF_STORAGE = frozenset(
    (*range(254, 260), 262, 263, 266, 273, *range(277, 282), 284, *range(288, 294), 317, 320)
) | frozenset((*range(322, 326), 330, *range(332, 348), *range(512, 522), 529, 530, 532))
_COPIES = frozenset((700, 33723, 34377, 34675, 37724))

_XMP, _IPTC = "its XMP data", "its IPTC data"
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_IPTC_RESOURCE = 0x0404  # among those of Photoshop, in a JPEG file
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LONGEST_KEY = 79  # bytes that name a text in a PNG file
_LOSSLESS_KINDS = ("PNG", "BMP", "GIF")
_LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")
_MOST_DPI = 65535  # that a JPEG file can say
_FRAME_HEADER = 16  # bytes before the chunks within a frame of a WebP file


def orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF has it; 1 where nothing readable says so."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata can raise anything
        return 1
    return found if isinstance(found, int) else 1


def exif_data(image: Image.Image) -> bytes:
    """The EXIF data without the small preview, of an image that is opened and not yet decoded.

    b"" where there are none, or none that can be read.
    """
    try:
        exif = image.getexif()
        return exif.tobytes() if len(exif) else b""
    except Exception:  # damaged metadata can raise anything
        return b""


def exif_for_copy(data: bytes, width: int, height: int) -> bytes:
    """`exif_data` for an upright copy of `width` x `height`; b"" where nothing is left.

    Without the orientation, and what describes the file rather than the image.
    """
    try:
        exif = Image.Exif()
        exif.load(data)
        for tag in [tag for tag in exif if tag in _OF_STORAGE | _COPIES or tag == ORIENTATION]:
            del exif[tag]
        if _EXIF_IFD in exif:
            details = exif.get_ifd(_EXIF_IFD)
            for tag, value in ((_WIDTH, width), (_HEIGHT, height)):
                if tag in details:
                    details[tag] = value
        return exif.tobytes() if len(exif) else b""
    except Exception:  # damaged metadata can raise anything
        return b""


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch, across and down, where the file says so."""
    try:
        across, down = map(float, image.info["dpi"])
    except Exception:  # none, or damaged
        return None
    return (across, down) if 1 <= across <= _MOST_DPI and 1 <= down <= _MOST_DPI else None


def jpeg_tables(image: Image.Image, is_turned: bool) -> tuple[list[list[int]], int] | None:
    """How a JPEG file is compressed, for an upright copy; None for other files.

    Args:
        image: as opened, before its pixels are read.
        is_turned: whether rows become columns in the copy.

    Returns:
        The quantization tables of luma and colour (grey: of luma), and the subsampling as Pillow
        numbers it. What Pillow cannot write, it is not: colours keep their full resolution then.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    try:
        tables = [list(image.quantization[layer[3]]) for layer in image.layer[:2]]
        if not tables or any(len(table) != 64 for table in tables):
            return None
        sampling = max(0, JpegImagePlugin.get_sampling(image))
    except Exception:  # a file without tables of its own, which Pillow may still decode
        return None
    if is_turned:
        tables = [[table[8 * (i % 8) + i // 8] for i in range(64)] for table in tables]
        sampling = 0 if sampling == 1 else sampling  # half across would be half down
    return tables, sampling


def is_deep(image: Image.Image) -> bool:
    """Whether an opened file, not yet decoded, has more than 8 bits per channel."""
    if image.mode == "F" or image.mode.startswith("I"):
        return True
    # Of colours with 16 bits, Pillow decodes the upper 8; the layout it reads has them all.
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def with_high_bytes(image: Image.Image, deep: bool | None = None) -> Image.Image:
    """The image, opened or made; with its transparent colour in 8 bits where that has 16.

    Of a PNG file of colours with 16 bits, Pillow decodes the upper 8 and keeps the transparent
    colour whole, so that no pixel has it.

    Args:
        deep: `is_deep` of the file; None asks, which tells only before it is decoded.
    """
    colour = image.info.get("transparency")
    if image.mode != "RGB" or not isinstance(colour, tuple):
        return image
    deep = is_deep(image) if deep is None else deep
    if not (deep or max(colour) > 255):  # the latter: decoded already
        return image
    image = image.copy()
    image.info["transparency"] = tuple(value >> 8 for value in colour)
    return image


def is_lossless(image: Image.Image, file: BinaryIO) -> bool:
    """Whether an opened file holds its pixels as they were when it was written."""
    if image.format == "TIFF":
        return image.info.get("compression") not in _LOSSY_IN_TIFF
    if image.format == "WEBP":
        return any(name == b"VP8L" for name in _webp_chunks(file))
    return image.format in _LOSSLESS_KINDS


def is_animated(image: Image.Image, file: BinaryIO) -> bool:
    """Whether an opened file, not yet decoded, has frames or pages after its first."""
    if image.format == "PNG":  # of which `png.pixels_only` leaves the first frame
        return b"acTL" in _png_chunks(file)
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame
        return True


def unkept(image: Image.Image, file: BinaryIO) -> tuple[str, ...]:
    """What an opened file, not yet decoded, says in words that no copy gets, by kind: "its ...".

    That is all but EXIF data; () where there is nothing, or nothing that can be read.
    """
    found = set()
    try:
        if image.format == "PNG":
            found = set(_png_texts(file))
        elif image.format == "WEBP":
            found = {_XMP for name in _webp_chunks(file) if name == b"XMP "}
        elif image.format == "TIFF":
            tags = getattr(image, "tag_v2", {})
            found = {kind for tag, kind in ((700, _XMP), (33723, _IPTC)) if tag in tags}
        for segment, content in getattr(image, "applist", ()):  # of a JPEG file
            if segment == "APP1" and content.startswith(_XMP_SEGMENT):
                found.add(_XMP)
        if _IPTC_RESOURCE in image.info.get("photoshop", {}):
            found.add(_IPTC)
        if image.info.get("xmp"):
            found.add(_XMP)
        if image.info.get("comment"):
            found.add("its comment")
    except Exception:  # damaged metadata can raise anything
        pass
    return tuple(sorted(found))


def _png_texts(file: BinaryIO) -> Iterator[str]:
    """The kinds of the texts in a PNG file, as `unkept` names them; EXIF data are none."""
    names = set()
    for name, key in _png_keys(file):
        if name in _PNG_TEXTS and key != b"Raw profile type exif":
            names.add(key)
    if b"XML:com.adobe.xmp" in names:
        yield _XMP
    if names & {b"prompt", b"workflow"}:
        yield "its texts, ComfyUI's workflow among them"
    elif names - {b"XML:com.adobe.xmp"}:
        yield "its texts"


def _png_keys(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The names of all chunks, and the words that they begin with."""
    file.seek(len(SIGNATURE))
    while len(header := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", header)
        end = file.tell() + size + 4
        yield name, file.read(min(size, _LONGEST_KEY + 1)).partition(b"\0")[0]
        file.seek(end)


def _png_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The names of the chunks before the pixels. Source: PNG Specification, W3C, section 5.3."""
    file.seek(len(SIGNATURE))
    while len(header := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", header)
        if name == b"IDAT":
            return
        yield name
        file.seek(size + 4, io.SEEK_CUR)


def _webp_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The names of the chunks, those within frames among them. Source: RFC 9649, section 2.3."""
    file.seek(12)
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        yield name
        file.seek(_FRAME_HEADER if name == b"ANMF" else size + size % 2, io.SEEK_CUR)
