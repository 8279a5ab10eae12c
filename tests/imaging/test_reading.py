"""One image file at a time: formats, modes, depths, transparency, rotation, sizes, damage."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.imaging.limits import MAX_PIXELS
from comfyui_cldis.imaging.reading import (
    UnreadableImageError,
    convert_image,
    open_image,
    read_image,
)

ORANGE = (250, 128, 10)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(data, channels=3):
    """(H, W, 3) or (H, W) int."""
    return np.asarray(read_image(data, channels).image).astype(int)


def png(width, height, depth, colour_type, rows, *chunks):
    """A PNG file of raw rows, written by hand: Pillow writes no 16-bit colour."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", zlib.crc32(name + data) & 0xFFFFFFFF)
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *(chunk(*extra) for extra in chunks)]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", body), chunk(b"IEND", b"")])


def tiff(width, height, bits, photometric, data):
    """A plain little-endian TIFF file of one strip, written by hand for the same reason."""
    channels = len(bits)
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, 8 if channels > 2 else bits[0]),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8 + 2 * channels),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    values = struct.pack(f"<{channels}H", *bits)
    directory = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack("<HHII", tag, kind, count, value)
    offset = 8 + len(values) + len(data)
    return b"II*\0" + struct.pack("<I", offset) + values + data + directory + b"\0\0\0\0"


def needs_avif():
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        pytest.skip("this Pillow has no AVIF")
    if not AvifImagePlugin.SUPPORTED:
        pytest.skip("this Pillow was built without AVIF")


# Modes and formats


def orange_variants():
    rgb = Image.new("RGB", (24, 16), ORANGE)
    other = Image.new("RGB", (24, 16), "blue")
    deep = np.array(ORANGE, dtype=np.uint16) * 257
    yield "jpeg", "RGB", encoded(rgb, "JPEG", quality=95)
    yield "jpeg of two images", "RGB", encoded(rgb, "MPO", save_all=True, append_images=[other])
    yield "webp", "RGB", encoded(rgb, "WEBP", lossless=True)
    yield "tiff", "RGB", encoded(rgb, "TIFF")
    yield "tiff lzw", "RGB", encoded(rgb, "TIFF", compression="tiff_lzw")
    yield "bmp", "RGB", encoded(rgb, "BMP")
    yield "YCbCr", "YCbCr", encoded(rgb.convert("YCbCr"), "TIFF")
    yield "palette", "P", encoded(rgb.convert("P", palette=Image.Palette.ADAPTIVE))
    yield "opaque alpha", "RGBA", encoded(rgb.convert("RGBA"))
    yield "gif", "P", encoded(rgb, "GIF", save_all=True, append_images=[other])
    yield (
        "animated webp",
        "RGB",
        encoded(rgb, "WEBP", save_all=True, append_images=[other], lossless=True),
    )
    yield "animated png", "RGB", encoded(rgb, "PNG", save_all=True, append_images=[other])
    yield "16-bit png", "RGB", png(24, 16, 16, 2, [deep.astype(">u2").tobytes() * 24] * 16)
    alpha = np.append(deep, 65535).astype(">u2").tobytes()
    yield "16-bit png with alpha", "RGBA", png(24, 16, 16, 6, [alpha * 24] * 16)
    yield "16-bit tiff", "RGB", tiff(24, 16, (16,) * 3, 2, deep.astype("<u2").tobytes() * 24 * 16)


VARIANTS = [pytest.param(mode, data, id=name) for name, mode, data in orange_variants()]


@pytest.mark.parametrize(("mode", "data"), VARIANTS)
def test_formats_and_modes_give_the_same_colour(mode, data, tmp_path):
    decoded = read_image(data)
    assert (decoded.image.mode, decoded.image.size) == ("RGB", (24, 16))
    assert (decoded.width, decoded.height, decoded.mode) == (24, 16, mode)
    assert np.abs(np.asarray(decoded.image).astype(int) - ORANGE).max() <= 4
    path = tmp_path / "a.dat"  # its first bytes count, not its name
    path.write_bytes(data)
    assert read_image(path).image.tobytes() == decoded.image.tobytes()


def test_avif():
    needs_avif()
    decoded = read_image(encoded(Image.new("RGB", (24, 16), ORANGE), "AVIF", quality=95))
    assert decoded.image.size == (24, 16)
    assert np.abs(np.asarray(decoded.image).astype(int) - ORANGE).max() <= 6


def test_avif_without_support_names_the_remedy(monkeypatch):
    avif = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"
    monkeypatch.setitem(sys.modules, "PIL.AvifImagePlugin", None)  # as before Pillow 11.3
    with pytest.raises(UnreadableImageError, match="AVIF image, which .* update Pillow to 11.3"):
        read_image(avif)


def test_heic_is_named():
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)
    with pytest.raises(UnreadableImageError, match="a HEIC image, .* save it as JPEG or PNG"):
        read_image(heic)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    pixels = pixels_of(encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), kind))
    assert pixels[4, 4, 0] > 200
    assert pixels[4, 4, 1:].max() < 60


def test_lab_becomes_rgb():
    # L* 53, a* 80, b* 67 is the red of sRGB (CIE 15, D50)
    red = Image.frombytes("LAB", (4, 4), bytes([136, 80, 67]) * 16)
    pixels = pixels_of(encoded(red, "TIFF"))
    assert np.abs(pixels[1, 1] - (255, 0, 0)).max() < 20


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white(kind):
    stripes = np.zeros((16, 16), dtype=bool)
    stripes[:, :7] = True
    pixels = pixels_of(encoded(Image.fromarray(stripes), kind))
    assert np.array_equal(pixels, np.repeat(stripes[..., None] * 255, 3, axis=2))


def test_grey_becomes_three_equal_channels_and_colour_its_luma():
    assert np.array_equal(
        pixels_of(encoded(Image.new("L", (20, 20), 77))), np.full((20, 20, 3), 77)
    )
    # ITU-R 601: 0.299 * 250 + 0.587 * 128 + 0.114 * 10 = 151.0
    grey = pixels_of(encoded(Image.new("RGB", (20, 20), ORANGE)), channels=1)
    assert grey.shape == (20, 20) and np.abs(grey - 151).max() <= 1


def test_deep_grey_is_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    expected = np.repeat((ramp[:, :, None] / 257), 3, axis=2)
    floating = Image.fromarray((ramp / 65535).astype(np.float32))
    wide = Image.fromarray(ramp.astype(np.int32))
    for data in (
        encoded(Image.fromarray(ramp)),
        encoded(Image.fromarray(ramp), "TIFF"),
        encoded(wide, "TIFF"),
        encoded(floating, "TIFF"),
        tiff(64, 64, (16,), 1, ramp.astype("<u2").tobytes()),
    ):
        assert np.abs(pixels_of(data) - expected).max() <= 0.501


def test_floating_point_may_miss_its_range_by_less_than_half_a_level():
    values = np.array([[-0.001, 0.25, 1.0000001, 1.001]], dtype=np.float32)
    assert pixels_of(encoded(Image.fromarray(values), "TIFF"), 1).tolist() == [[0, 64, 255, 255]]


@pytest.mark.parametrize(
    ("value", "dtype", "phrase"),
    [
        (7.5, np.float32, "from 7.5 to 7.5; expected 0 .black. to 1 .white.; scale them"),
        (-0.5, np.float32, "from -0.5 to -0.5; expected 0"),
        (np.nan, np.float32, "from nan to nan; expected 0"),
        (70000, np.int32, "from 70000 to 70000 do not fit 16 bits; save it with 8 or 16"),
    ],
)
def test_values_that_fit_no_range_are_refused(value, dtype, phrase):
    data = encoded(Image.fromarray(np.full((8, 8), value, dtype=dtype)), "TIFF")
    with pytest.raises(UnreadableImageError, match=phrase):
        read_image(data)


# Transparency


def test_transparency_shows_white():
    palette = Image.new("P", (20, 20), 0)
    for data in (
        encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0))),
        encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "WEBP", lossless=True),
        encoded(palette, transparency=0),
        encoded(palette, transparency=bytes([0, 255])),
        encoded(palette, "GIF", transparency=0),
        encoded(Image.new("LA", (20, 20), (0, 0))),
        encoded(Image.new("RGB", (20, 20), (1, 2, 3)), transparency=(1, 2, 3)),
        encoded(Image.new("L", (20, 20), 9), transparency=9),
    ):
        assert pixels_of(data).min() == 255
        assert pixels_of(data, channels=1).min() == 255


@pytest.mark.parametrize("mode", ["La", "RGBa"])
@pytest.mark.parametrize("channels", [1, 3])
def test_premultiplied_colours_mix_with_white_as_others(mode, channels):
    plain = Image.new("LA" if mode == "La" else "RGBA", (2, 2), "#404040")
    plain.putalpha(128)
    converted = convert_image(plain.convert(mode), "it", channels)
    expected = convert_image(plain, "it", channels)
    difference = np.asarray(converted).astype(int) - np.asarray(expected)
    assert converted.mode == expected.mode and np.abs(difference).max() <= 1


def test_half_transparency_mixes_with_white():
    pixels = pixels_of(encoded(Image.new("RGBA", (20, 20), (200, 0, 100, 102))))
    # 102 / 255 = 0.4 of the colour and 0.6 of white
    assert np.abs(pixels - (233, 153, 193)).max() <= 1


def test_a_palette_with_a_transparent_colour():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = pixels_of(encoded(image, transparency=0))
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_deep_grey_with_a_transparent_level_shows_white():
    row = np.repeat(np.array([1000, 40000], dtype=">u2"), 8).tobytes()
    data = png(16, 16, 16, 0, [row] * 16, (b"tRNS", struct.pack(">H", 1000)))
    pixels = pixels_of(data)
    assert pixels[:, :8].min() == 255
    assert (pixels[:, 8:] == 156).all()  # 40000 / 257 = 155.6


def test_deep_colours_with_a_transparent_one_show_white():
    first, second = struct.pack(">HHH", 1000, 40000, 7), struct.pack(">HHH", 60000, 40000, 7)
    data = png(4, 2, 16, 2, [first * 2 + second * 2] * 2, (b"tRNS", first))
    expected = [[255, 255, 255]] * 2 + [[60000 >> 8, 40000 >> 8, 0]] * 2
    assert pixels_of(data)[0].tolist() == expected
    for decoded in (False, True):
        with Image.open(io.BytesIO(data)) as image:
            if decoded:
                image.load()
            given = image.info["transparency"]
            assert np.asarray(convert_image(image, "it"))[0].tolist() == expected
            assert image.info["transparency"] == given  # inputs are not changed


# EXIF


def upright_quadrants():
    """24 x 16 pixels, each quadrant of another colour."""
    image = np.zeros((16, 24, 3), dtype=np.uint8)
    image[:, :12, 0] = 255
    image[:8, :, 1] = 255
    return image


# How a camera that writes this orientation has stored the upright image.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_rotation_is_undone(kind, orientation):
    if kind == "AVIF":
        needs_avif()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif if kind == "TIFF" else exif.tobytes()}
    if kind in ("JPEG", "WEBP", "AVIF"):
        options["quality"] = 95
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright_quadrants())))
    decoded = read_image(encoded(stored, kind, **options))
    assert (decoded.width, decoded.height) == decoded.image.size == (24, 16)
    corners = np.asarray(decoded.image)[[3, 3, 12, 12], [4, 19, 4, 19]].astype(int)
    expected = [(255, 255, 0), (0, 255, 0), (255, 0, 0), (0, 0, 0)]
    assert np.abs(corners - expected).max() < 60


def test_size_of_a_turned_jpeg_is_exact_although_it_is_decoded_small():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (641, 1281)), "JPEG", exif=exif.tobytes())
    with open_image(data, enough=16) as opened:
        decoded = opened.decode(1)
    assert (decoded.width, decoded.height) == (1281, 641)
    assert decoded.image.size == (161, 81) and decoded.image.mode == "L"


# Sizes


def test_a_central_square_is_cropped_from_the_upright_image():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((30, 10, 3), dtype=np.uint8)
    stored[10:20] = ORANGE
    with open_image(encoded(Image.fromarray(stored), exif=exif.tobytes())) as opened:
        decoded = opened.decode(3, central_square=True)
    assert (decoded.width, decoded.height, decoded.image.size) == (30, 10, (10, 10))
    assert (np.asarray(decoded.image) == ORANGE).all()


def test_a_jpeg_over_the_limit_is_decoded_small_and_others_are_refused():
    image = Image.new("RGB", (200, 100), ORANGE)
    for limit, size in ((200 * 100, (200, 100)), (19_999, (100, 50)), (400, (25, 13))):
        with open_image(encoded(image, "JPEG", quality=95), max_pixels=limit) as opened:
            decoded = opened.decode()
        assert (decoded.width, decoded.height, decoded.image.size) == (200, 100, size)
        assert np.abs(np.asarray(decoded.image).astype(int) - ORANGE).max() <= 4
    for data in (encoded(image, "JPEG"), encoded(image, "PNG")):
        with (
            pytest.raises(UnreadableImageError, match="200 x 100 pixels; at most 300 are .*small"),
            open_image(data, max_pixels=300),
        ):
            pass


def test_a_progressive_jpeg_counts_as_it_is_held():
    data = encoded(Image.new("RGB", (240, 120)), "JPEG", progressive=True)
    with open_image(data, enough=8) as opened:
        assert opened.num_pixels == 240 * 120 // 3
    with pytest.raises(UnreadableImageError, match="240 x 120"), open_image(data, max_pixels=9599):
        pass


def test_two_hundred_megapixels_of_jpeg_are_read():
    """More than Pillow's own limit, which is that of the process and stays as it is."""
    width, height = 16320, 12240
    small = encoded(Image.new("RGB", (16, 16), "teal"), "JPEG", quality=30)
    data = bytearray(small)
    at = data.index(b"\xff\xc0") + 5  # the frame's height and width
    data[at : at + 4] = struct.pack(">HH", height, width)
    limit = Image.MAX_IMAGE_PIXELS
    with open_image(bytes(data)) as opened:  # its pixels would be cut off
        assert opened.num_pixels == width * height // 4 < MAX_PIXELS
    assert limit == Image.MAX_IMAGE_PIXELS
    with open_image(bytes(data), enough=128) as opened:
        assert opened.num_pixels == width * height // 64


def test_huge_dimensions_are_refused_before_they_are_decoded():
    bomb = png(20000, 20000, 1, 0, [])  # 60 bytes that ask for 400 million pixels
    with pytest.raises(UnreadableImageError, match="20000 x 20000 pixels; at most 134,217,728"):
        read_image(bomb)
    webp = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
    webp[21:25] = struct.pack("<I", 0x0FFFFFFF)  # 16384 x 16384
    with pytest.raises(UnreadableImageError):
        read_image(bytes(webp))


# Damage


def damaged():
    noise = Image.effect_noise((64, 64), 50)
    yield "empty", b"", "the file is empty"
    yield "text", b"this is not an image", "not an image of an accepted format"
    yield "truncated png", encoded(noise)[:900], "cut off: its end is missing"
    yield "truncated jpeg", encoded(noise, "JPEG")[:700], "cut off: its end is missing"
    yield "truncated webp", encoded(noise, "WEBP")[:700], "damaged"
    yield "truncated tiff", encoded(noise, "TIFF", compression="tiff_deflate")[:700], "damaged"
    yield "truncated gif", encoded(noise, "GIF")[:900], "cut off: its end is missing"
    yield "header only", encoded(noise)[:33], "damaged"
    yield "first bytes only", encoded(noise)[:8], "damaged"
    yield "no width", png(0, 5, 8, 2, [b""]), "damaged"
    yield "another format", encoded(noise, "PPM"), "not an image of an accepted format"
    broken = bytearray(encoded(noise.convert("RGB")))
    broken[60:70] = b"\xff" * 10
    yield "broken pixels", bytes(broken), "damaged"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize(
    ("data", "phrase"),
    [pytest.param(data, phrase, id=name) for name, data, phrase in damaged()],
)
def test_damage_is_a_sentence(data, phrase, tmp_path):
    with pytest.raises(UnreadableImageError, match=phrase):
        read_image(data)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UnreadableImageError, match=r"^a\.png cannot be read as an image \("):
        read_image(tmp_path / "a.png")


def test_places_without_an_image(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image .*gone\.png. Check the name"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(UnreadableImageError, match="is a folder. Name an image file in it"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImageError, match="is not a plain file"):
        read_image(tmp_path / "pipe.png")
