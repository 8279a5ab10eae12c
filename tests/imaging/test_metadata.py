"""What stands beside the pixels never counts against them: EXIF data, texts, colour profiles."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from comfyui_cldis.imaging.limits import MAX_PROFILE_BYTES
from comfyui_cldis.imaging.reading import read_image

NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
PNG_HEAD = 8 + 25  # bytes of the signature and of the chunk with the size


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, data):
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def with_chunks(*chunks, at_end=False):
    """NOISE as a PNG file with more chunks before its pixels, or after them."""
    data = encoded(Image.fromarray(NOISE))
    place = len(data) - 12 if at_end else PNG_HEAD
    return data[:place] + b"".join(chunks) + data[place:]


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile():
    """sRGB with red and blue changed for each other, under another name."""
    data = srgb_profile().replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return data.replace(b"rXYZ", b"xxxx").replace(b"bXYZ", b"rXYZ").replace(b"xxxx", b"bXYZ")


def grey_profile():
    """Grey with sRGB's curve, under another name."""
    data = srgb_profile().replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return data.replace(b"RGB XYZ ", b"GRAYXYZ ").replace(b"rTRC", b"kTRC")


def lines(size):
    return bytes(range(32, 96)) * (size // 64)


LONG = zlib.compress(lines(3 * 2**20))
HOSTILE = {
    "packed text": chunk(b"zTXt", b"workflow\0\0" + LONG),
    "international text": chunk(b"iTXt", b"prompt\0\1\0\0\0" + LONG),
    "many long texts": b"".join(chunk(b"tEXt", b"t%d\0" % i + lines(2**20)) for i in range(66)),
    "large profile": chunk(b"iCCP", b"large\0\0" + LONG),
    "endless profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(MAX_PROFILE_BYTES + 1))),
    "profile that is none": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
    "profile that is not packed": chunk(b"iCCP", b"x\0\0nonsense"),
    "profile packed by another method": chunk(b"iCCP", b"x\0\7nonsense"),
    "text packed by another method": chunk(b"zTXt", b"x\0\7nonsense"),
    "nameless text": chunk(b"tEXt", b"\xff"),
    "short density": chunk(b"pHYs", b"abc"),
    "short gamma": chunk(b"gAMA", b"a"),
    "broken EXIF data": chunk(b"eXIf", b"nonsense"),
    "wrong checksum of a text": chunk(b"tEXt", b"a\0b")[:-4] + b"oops",
    "wrong checksum of EXIF data": chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0")[:-4] + b"oops",
    "broken orientation": chunk(b"tEXt", b"Raw profile type exif\0no numbers"),
}


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_pixels_of_a_png_are_whole_whatever_stands_beside_them(name, at_end):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = read_image(with_chunks(HOSTILE[name], at_end=at_end))
    assert np.array_equal(np.asarray(decoded.image), NOISE)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    "note",
    [
        chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
        chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
    ],
    ids=["EXIF", "XMP"],
)
def test_the_orientation_of_a_png_counts_wherever_it_stands(note, at_end):
    decoded = read_image(with_chunks(HOSTILE["packed text"], note, at_end=at_end))
    assert np.array_equal(np.asarray(decoded.image), np.rot90(NOISE, -1))
    assert (decoded.width, decoded.height) == (12, 20)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of what it finds odd in them
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_broken_exif_data_are_ignored(kind):
    exif = Image.Exif()
    exif[0x011A], exif[0x0128], exif[0x0131] = 72.0, 2, "camera"
    if kind != "AVIF":  # which keeps the orientation elsewhere
        exif[0x0112] = 1
    exif.get_ifd(0x8769)[0x9003] = "2024:01:01 00:00:00"
    data = exif.tobytes()
    options = {"quality": 90} if kind != "PNG" else {}
    try:
        whole = encoded(Image.fromarray(NOISE), kind, exif=data, **options)
    except (KeyError, OSError):
        pytest.skip("this Pillow has no AVIF")
    expected = np.asarray(read_image(whole).image)
    raw = data[6:]  # behind "Exif\0\0"
    assert whole.count(raw) == 1
    generator = np.random.default_rng(0)
    for case in range(60):
        broken = bytearray(raw)
        if case == 0:
            broken[:8] = b"nonsense"
        else:
            for place in generator.integers(0, len(raw), 6):
                broken[place] = generator.integers(0, 256)
        image = read_image(whole.replace(raw, bytes(broken))).image
        # Some bytes may happen to say another orientation.
        assert sorted(np.asarray(image).ravel()) == sorted(expected.ravel())


PROFILED = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]


@pytest.mark.parametrize("kind", PROFILED)
def test_an_embedded_profile_is_applied(kind):
    options = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    try:
        data = encoded(
            Image.new("RGB", (16, 16), (240, 30, 20)),
            kind,
            icc_profile=swapped_profile(),
            **options,
        )
    except (KeyError, OSError):
        pytest.skip("this Pillow has no AVIF")
    pixels = np.asarray(read_image(data).image).astype(int)
    assert np.abs(pixels - (20, 30, 240)).max() <= 12  # lossy, and a gamut that just fits


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_a_profile_leaves_transparency_and_palette_their_meaning(mode):
    image = Image.new("RGBA", (4, 1), (240, 30, 20, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    if mode == "P":
        image = image.quantize(4)
    pixels = np.asarray(read_image(encoded(image, icc_profile=swapped_profile())).image).astype(int)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert np.abs(pixels[0, 1] - (20, 30, 240)).max() <= 4


def test_profiles_without_content_are_left_alone():
    image = Image.fromarray(NOISE)
    plain = read_image(encoded(image)).image.tobytes()
    broken = bytearray(swapped_profile())
    broken[128:] = bytes(len(broken) - 128)
    renamed = srgb_profile().replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    for profile in (srgb_profile(), renamed, b"no profile", bytes(broken), swapped_profile()[:200]):
        for kind in ("PNG", "TIFF"):
            assert read_image(encoded(image, kind, icc_profile=profile)).image.tobytes() == plain


def test_a_profile_of_another_kind_of_image_is_left_alone():
    grey, colour = Image.fromarray(NOISE[..., 0]), Image.fromarray(NOISE)
    for image, profile in ((grey, swapped_profile()), (colour, grey_profile())):
        data = encoded(image, icc_profile=profile)
        assert read_image(data).image.tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_with_a_grey_profile_stays_grey(channels):
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, axis=0)
    image = Image.merge("LA", [Image.fromarray(ramp), Image.new("L", (256, 2), 255)])
    for each in (image, image.convert("L")):
        read = read_image(encoded(each, icc_profile=grey_profile()), channels).image
        values = np.asarray(read).astype(int).reshape(2, 256, channels)
        assert np.abs(values - ramp[..., None]).max() <= 1


def test_a_large_profile_of_a_png_still_counts():
    """Over a MiB, at which Pillow refuses the whole file."""
    profile = swapped_profile()
    profile = struct.pack(">I", len(profile) + 2**21) + profile[4:] + bytes(2**21)
    data = with_chunks(chunk(b"iCCP", b"large\0\0" + zlib.compress(profile)))
    pixels = np.asarray(read_image(data).image).astype(int)
    assert np.abs(pixels - NOISE).max() > 100
    assert np.abs(pixels[..., ::-1] - NOISE).max() <= 3


def test_damaged_profiles_are_ignored_whatever_is_damaged():
    profile, image = swapped_profile(), Image.fromarray(NOISE)
    generator = np.random.default_rng(1)
    for _ in range(100):
        broken = bytearray(profile)
        for place in generator.integers(0, len(profile), 8):
            broken[place] = generator.integers(0, 256)
        assert read_image(encoded(image, icc_profile=bytes(broken))).image.size == (20, 12)
