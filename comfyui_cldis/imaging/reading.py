"""Reads image files, for the command line, the trainer and the nodes alike.

The rule, in order: what a file is, its first bytes say, not its name; the first frame; turned
upright as EXIF says; to 8-bit sRGB or grey as `colour` says. Metadata never counts against an image
whose pixels are whole: broken EXIF data and colour profiles are ignored, texts are not read at all.
Files whose pixels are damaged or cut off are refused, and so are those over the `limits`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from .colour import to_eight_bits
from .limits import MAX_PIXELS, PROGRESSIVE_SHARE
from .metadata import (
    SWAPPING,
    exif_data,
    exif_for_copy,
    is_animated,
    is_deep,
    is_lossless,
    jpeg_tables,
    orientation,
    resolution,
    unkept,
    with_high_bytes,
)
from .png import SIGNATURE, pixels_only

T = TypeVar("T")

# The classes are used themselves, not Image.open, whose limit of pixels belongs to the whole
# process and holds before a JPEG file can be drafted.
_BY_FIRST_BYTES: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (SIGNATURE, PngImagePlugin.PngImageFile),
    (b"GIF87a", GifImagePlugin.GifImageFile),
    (b"GIF89a", GifImagePlugin.GifImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    *(
        (magic, TiffImagePlugin.TiffImageFile)
        for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")
    ),
)
_LONGEST_FILE_TYPE = 256  # bytes of an ISO media file's first box, which lists what it is
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(ValueError):
    """A file that holds no image, or none that can be used; the text is a clause that says why."""


@dataclass(frozen=True)
class DecodedImage:
    """An image as it is meant to be seen, and what it was in its file."""

    image: Image.Image  # upright, mode "RGB" or "L"; of a large JPEG, smaller than the original
    width: int  # of the upright original
    height: int
    mode: str  # Pillow's name of the file's mode: RGB, L, P, CMYK, ...


@dataclass(frozen=True)
class StoredImage:
    """An image upright, in the mode and the colours of its file, and what else the file says."""

    image: Image.Image
    width: int  # of the upright original
    height: int
    profile: bytes | None = None  # ICC
    exif: bytes = b""  # of an upright copy, see `metadata.exif_for_copy`
    dpi: tuple[float, float] | None = None
    tables: Sequence[list[int]] = ()  # quantization of a JPEG file, upright: luma, colour
    sampling: int = 0  # of its colours, as Pillow numbers it
    is_lossless: bool = False
    is_deep: bool = False  # more than 8 bits per channel
    is_animated: bool = False  # the image is the first of several
    unkept: tuple[str, ...] = ()  # what the file says that no copy gets, see `metadata.unkept`


@dataclass(frozen=True)
class OpenImage:
    """An image file whose header is read and whose pixels are not."""

    num_pixels: int  # that decoding holds in memory
    _file: ImageFile.ImageFile
    _size: tuple[int, int]  # as stored, before it is drafted or turned
    _profile: bytes | None
    _source: BinaryIO  # the whole file

    def decode(self, channels: int = 3, *, central_square: bool = False) -> DecodedImage:
        """Decodes the pixels, once.

        Args:
            channels: 3 (RGB) or 1 (grey).
            central_square: crop to the largest central square before the colours are converted,
                which costs memory for every pixel; the sizes stay those of the whole.

        Raises:
            UnreadableImageError: damaged, cut off, or of values that fit no 8 or 16 bits.
        """
        with _explained():
            mode = self._file.mode
            image, width, height = self._upright()
            if central_square:
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                image = image.crop((left, top, left + side, top + side))
                self._file.close()
            eight_bits = to_eight_bits(image, channels, self._profile)
            return DecodedImage(eight_bits, width, height, mode)

    def decode_as_stored(self) -> StoredImage:
        """Decodes the pixels, once, in the mode and the colours of the file.

        Raises:
            UnreadableImageError: damaged, or cut off.
        """
        with _explained():
            file = self._file
            animated = is_animated(file, self._source)
            lossless, deep, dpi = is_lossless(file, self._source), is_deep(file), resolution(file)
            tables, sampling = jpeg_tables(file, orientation(file) in SWAPPING) or ((), 0)
            exif, left = exif_data(file), unkept(file, self._source)
            image, width, height = self._upright(deep)  # Pillow decodes a file for its EXIF
            return StoredImage(
                image,
                width,
                height,
                profile=self._profile,
                exif=exif_for_copy(exif, *image.size),
                dpi=dpi,
                tables=tables,
                sampling=sampling,
                is_lossless=lossless,
                is_deep=deep,
                is_animated=animated,
                unkept=left,
            )

    def _upright(self, deep: bool | None = None) -> tuple[Image.Image, int, int]:
        """The pixels the right way up, and the size of the upright original.

        Args:
            deep: as of `with_high_bytes`.
        """
        image = with_high_bytes(self._file, deep)
        drafted_size = image.size
        image.load()
        # Pillow turns TIFF files itself when it loads them.
        width, height = self._size if image.size == drafted_size else image.size
        turn = orientation(image)
        if turn in _TURNS:
            image = image.transpose(_TURNS[turn])
            self._file.close()  # frees its pixels
        if turn in SWAPPING:
            width, height = height, width
        return image, width, height


@contextmanager
def open_image(
    source: bytes | BinaryIO, *, enough: int | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[OpenImage]:
    """Opens an image file, to be decoded within the `with` block.

    Args:
        source: a whole file, as bytes or open for reading in binary.
        enough: pixels that the shorter side of a JPEG file keeps when it is decoded at a half, a
            quarter or an eighth of its size; None: no smaller than `max_pixels` wants it.
        max_pixels: that decoding may hold in memory.

    Raises:
        UnreadableImageError: not an image of an accepted format, damaged, or too large.
    """
    whole = io.BytesIO(source) if isinstance(source, bytes) else source
    with _explained():
        file, profile = _opened(whole)
    with file:
        with _explained():
            size = width, height = file.size
            _draft(file, enough, max_pixels)
            num_pixels = file.width * file.height
            if file.info.get("progressive"):
                num_pixels = max(num_pixels, width * height // PROGRESSIVE_SHARE)
            if num_pixels > max_pixels:
                raise UnreadableImageError(_too_large(width, height, max_pixels))
            profile = profile or file.info.get("icc_profile")
            opened = OpenImage(num_pixels, file, size, profile, whole)
        yield opened


def read_image(source: str | os.PathLike[str] | bytes, channels: int = 3) -> DecodedImage:
    """Reads an image file, given by its path or as bytes, whole and in 8 bits.

    A JPEG file of more than `limits.MAX_PIXELS` comes smaller, which its size tells.

    Args:
        channels: 3 (RGB) or 1 (grey).

    Raises:
        FileNotFoundError: nothing there.
        UnreadableImageError: a folder, or a file that holds no usable image; names the file.
        OSError: the file may not be read.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), "the image", lambda opened: opened.decode(channels))
    path = checked_path(source)
    with open(path, "rb") as file:
        return _read(file, path.name, lambda opened: opened.decode(channels))


def read_stored(path: str | os.PathLike[str]) -> StoredImage:
    """Reads an image file whole, as it is stored; raises as `read_image` does."""
    path = checked_path(path)
    with open(path, "rb") as file:
        return _read(file, path.name, OpenImage.decode_as_stored)


def checked_path(source: str | os.PathLike[str]) -> Path:
    """The path of a plain file; raises as `read_image` does for another."""
    path = Path(source)
    if path.is_dir():
        raise UnreadableImageError(f"{path} is a folder. Name an image file in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no image {path}. Check the name.")
    if not path.is_file():  # reading a pipe would wait for ever
        raise UnreadableImageError(f"{path} is not a plain file. Name an image file.")
    return path


def convert_image(image: Image.Image, name: str, channels: int = 3) -> Image.Image:
    """An image that Pillow has opened or made, by the rules for files: upright, 8 bits, sRGB.

    Args:
        name: what messages call it.
        channels: 3 (RGB) or 1 (grey).

    Raises:
        UnreadableImageError: damaged, or of values that fit no 8 or 16 bits.
    """
    try:
        with _explained():
            if 0 in image.size:
                raise UnreadableImageError(
                    f"{image.width} x {image.height} pixels, so there are none"
                )
            profile = image.info.get("icc_profile")
            return to_eight_bits(upright(image), channels, profile)
    except UnreadableImageError as error:
        raise UnreadableImageError(
            f"{name} cannot be read as an image ({error}). Use one that other programs can open."
        ) from error


def _read(file: BinaryIO, name: str, decode: Callable[[OpenImage], T]) -> T:
    with naming(name), open_image(file) as opened:
        return decode(opened)


def upright(image: Image.Image) -> Image.Image:
    """An image that Pillow has opened or made, the right way up."""
    image = with_high_bytes(image)
    image.load()
    turn = orientation(image)
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turns what decoding or converting an image raises into a sentence about the file."""
    try:
        with _explained():
            yield
    except UnreadableImageError as error:
        raise UnreadableImageError(
            f"{name} cannot be read as an image ({error}). "
            "Use a JPEG, PNG or WebP file that other programs can open."
        ) from error


def _opened(file: BinaryIO) -> tuple[ImageFile.ImageFile, bytes | None]:
    """The file by its kind, and the colour profile where it had to be taken out."""
    head = file.read(_LONGEST_FILE_TYPE)
    file.seek(0)
    if not head:
        raise UnreadableImageError("the file is empty (0 bytes)")
    if head[4:8] == b"ftyp":
        return _open_iso_media(file, head), None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile(file), None
    for magic, kind in _BY_FIRST_BYTES:
        if head.startswith(magic):
            pixels, profile = pixels_only(file) if magic == SIGNATURE else (file, None)
            return kind(pixels), profile
    raise UnreadableImageError("not an image of an accepted format, or its first bytes are damaged")


def _open_iso_media(file: BinaryIO, head: bytes) -> ImageFile.ImageFile:
    """An AVIF file; it shares its outer form with HEIC and with films, which are refused."""
    brands = head[8 : int.from_bytes(head[:4], "big")]
    if b"avif" not in brands and b"avis" not in brands:
        is_heic = re.search(b"hei[cxms]|hev[cxms]|mif1|msf1", brands)
        what = "a HEIC image" if is_heic else "a film, or an image of another format"
        raise UnreadableImageError(f"{what}, which is not read; save it as JPEG or PNG")
    try:
        from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile
    except ImportError:  # before Pillow 11.3
        SUPPORTED = False
    if not SUPPORTED:
        raise UnreadableImageError(
            "an AVIF image, which the installed Pillow cannot read; update Pillow to 11.3 or "
            "newer, or save the image as PNG"
        )
    try:
        return AvifImageFile(file)
    except Exception:  # broken EXIF data can raise anything, and are read at once
        # Under another name, of the same length, they are not read.
        file.seek(0)
        data = re.sub(b"(infe.{8})Exif", rb"\1skip", file.read(), flags=re.DOTALL)
        return AvifImageFile(io.BytesIO(data))


def _draft(file: ImageFile.ImageFile, enough: int | None, max_pixels: int) -> None:
    """Lets a JPEG file be decoded smaller; does nothing to other formats."""
    width, height = file.size
    wanted = 1 if enough is None else min(width // enough, height // enough)
    fitting = (s for s in (1, 2, 4) if -(-width // s) * -(-height // s) <= max_pixels)
    scale = max(wanted, next(fitting, 8))
    file.draft(None, (max(1, width // scale), max(1, height // scale)))


@contextmanager
def _explained() -> Iterator[None]:
    """Turns whatever Pillow raises for a damaged file into a reason."""
    try:
        yield
    except (UnreadableImageError, MemoryError, ImportError):
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too many pixels ({error}); save a smaller copy") from error
    except Exception as error:  # a damaged file can raise anything
        raise UnreadableImageError(_reason(error)) from error


def _reason(error: Exception) -> str:
    text = str(error).rstrip(".")
    if isinstance(error, OSError) and "truncated" in text.lower():
        return "cut off: its end is missing; copy it again"
    if type(error) is ValueError and text:  # our own sentences, and the plainest of Pillow's
        return text
    return f"damaged ({type(error).__name__}{': ' if text else ''}{text})"


def _too_large(width: int, height: int, max_pixels: int) -> str:
    return f"{width} x {height} pixels; at most {max_pixels:,} are decoded; save a smaller copy"
