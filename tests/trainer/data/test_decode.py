"""One image file at a time: modes, depths, transparency, rotation, resize rules, damage."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.editing import framing
from trainer.data import RESIZE_RULES
from trainer.data import decode as module
from trainer.data.budget import Budget
from trainer.data.decode import decode_image

ORANGE = (250, 128, 10)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(data, image_size=8, channels=3, resize="crop"):
    return decode_image(data, image_size, channels, resize).pixels


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
def test_formats_and_modes_give_the_same_colour(mode, data):
    decoded = decode_image(data, 8, 3)
    assert decoded.pixels.shape == (8, 8, 3)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width, decoded.height, decoded.mode) == (24, 16, mode)
    assert np.abs(decoded.pixels.astype(int) - ORANGE).max() <= 4


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    pixels = pixels_of(encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), kind))
    assert pixels[4, 4, 0] > 200
    assert pixels[4, 4, 1:].max() < 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white_with_greys_between(kind):
    stripes = np.zeros((16, 16), dtype=bool)
    stripes[:, :7] = True
    pixels = pixels_of(encoded(Image.fromarray(stripes), kind))
    assert pixels[:, :3].min() >= 250
    assert pixels[:, 4:].max() <= 5
    assert 100 < pixels[4, 3, 0] < 160  # half of this pixel is white


def test_grey_becomes_three_equal_channels():
    pixels = pixels_of(encoded(Image.new("L", (20, 20), 77)))
    assert np.array_equal(pixels, np.full((8, 8, 3), 77))


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
        assert np.abs(pixels_of(data, 64) - expected).max() <= 1


def test_deep_grey_with_a_transparent_level_shows_white():
    row = np.repeat(np.array([1000, 40000], dtype=">u2"), 8).tobytes()
    data = png(16, 16, 16, 0, [row] * 16, (b"tRNS", struct.pack(">H", 1000)))
    pixels = pixels_of(data, 16)
    assert pixels[:, :6].min() == 255
    assert np.abs(pixels[:, 10:].astype(int) - 156).max() <= 1  # 40000 / 257 = 155.6


def test_values_that_fit_no_range_are_refused():
    floating = encoded(Image.fromarray(np.full((8, 8), 7.5, dtype=np.float32)), "TIFF")
    with pytest.raises(ValueError, match="0 to 1"):
        pixels_of(floating)
    wide = encoded(Image.fromarray(np.full((8, 8), 70000, dtype=np.int32)), "TIFF")
    with pytest.raises(ValueError, match="from 70000 to 70000 do not fit 16 bits"):
        pixels_of(wide)


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


def test_half_transparency_mixes_with_white():
    pixels = pixels_of(encoded(Image.new("RGBA", (20, 20), (200, 0, 100, 102))))
    # 102 / 255 = 0.4 of the colour and 0.6 of white
    assert np.abs(pixels.astype(int) - (233, 153, 193)).max() <= 1


def test_grey_output_has_one_channel():
    pixels = pixels_of(encoded(Image.new("RGB", (20, 20), ORANGE)), channels=1)
    assert pixels.shape == (8, 8, 1)
    # ITU-R 601: 0.299 * 250 + 0.587 * 128 + 0.114 * 10 = 151.0
    assert np.abs(pixels.astype(int) - 151).max() <= 1


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
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_undone(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif if kind == "TIFF" else exif.tobytes()}
    if kind in ("JPEG", "WEBP"):
        options["quality"] = 95
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright_quadrants())))
    decoded = decode_image(encoded(stored, kind, **options), 8, 3, "stretch")
    assert (decoded.width, decoded.height) == (24, 16)
    corners = decoded.pixels[[1, 1, 6, 6], [1, 6, 1, 6]].astype(int)
    expected = [(255, 255, 0), (0, 255, 0), (255, 0, 0), (0, 0, 0)]
    assert np.abs(corners - expected).max() < 60


def test_size_of_a_turned_jpeg_is_exact_although_it_is_decoded_small():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (641, 1281)), "JPEG", exif=exif.tobytes())
    decoded = decode_image(data, 8, 3)
    assert (decoded.width, decoded.height) == (1281, 641)


# Resize rules


def test_rules_are_those_of_editing():
    assert RESIZE_RULES == framing.RESIZE_RULES


@pytest.mark.parametrize("is_tall", [False, True])
def test_crop_keeps_the_central_square(is_tall):
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 200
    image = wide.swapaxes(0, 1) if is_tall else wide
    assert pixels_of(encoded(Image.fromarray(np.ascontiguousarray(image))), 5).min() == 200


@pytest.mark.parametrize("is_tall", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_pad_equals_repeating_the_edge_first(is_tall, channels):
    noise = np.random.default_rng(0).integers(80, 176, (40, 97, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(noise).resize((194, 80)))
    if is_tall:
        wide = np.ascontiguousarray(wide.swapaxes(0, 1))
        padded = np.pad(wide, ((0, 0), (57, 57), (0, 0)), mode="edge")
    else:
        padded = np.pad(wide, ((57, 57), (0, 0), (0, 0)), mode="edge")
    expected = pixels_of(encoded(Image.fromarray(padded)), 32, channels)
    actual = pixels_of(encoded(Image.fromarray(wide)), 32, channels, "pad")
    assert actual.shape == (32, 32, channels)
    assert np.abs(actual.astype(int) - expected).max() <= 2


def test_pad_of_a_line_needs_no_large_square():
    gradient = np.linspace(0, 255, 20000).astype(np.uint8)[None].repeat(2, axis=0)
    pixels = pixels_of(encoded(Image.fromarray(gradient)), 16, 1, "pad")[..., 0].astype(int)
    assert np.abs(pixels - pixels[:1]).max() == 0
    # The middle of pixel i of 16 shows the level 255 * (i + 0.5) / 16.
    assert np.abs(pixels[0] - 255 * (np.arange(16) + 0.5) / 16).max() <= 2


def test_stretch_shows_everything():
    halves = np.zeros((10, 40, 3), dtype=np.uint8)
    halves[:, 20:] = 200
    pixels = pixels_of(encoded(Image.fromarray(halves)), 8, resize="stretch").astype(int)
    assert pixels[:, :3].max() < 15
    assert np.abs(pixels[:, 5:] - 200).max() < 15


def test_small_images_are_enlarged():
    assert np.array_equal(
        pixels_of(encoded(Image.new("RGB", (1, 1), ORANGE)), 8), np.full((8, 8, 3), ORANGE)
    )


# Damage


def damaged():
    noise = Image.effect_noise((64, 64), 50)
    yield "empty", b""
    yield "text", b"this is not an image"
    yield "truncated png", encoded(noise)[:900]
    yield "truncated jpeg", encoded(noise, "JPEG")[:700]
    yield "truncated webp", encoded(noise, "WEBP")[:700]
    yield "truncated tiff", encoded(noise, "TIFF", compression="tiff_deflate")[:700]
    yield "truncated gif", encoded(noise, "GIF")[:900]
    yield "header only", encoded(noise)[:33]
    yield "no width", png(0, 5, 8, 2, [b""])
    yield "another format", encoded(noise, "PPM")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in damaged()])
def test_damage_raises(data):
    with pytest.raises(Exception, match=".+"):
        decode_image(data, 8, 3)


def test_huge_dimensions_are_refused_before_they_are_decoded():
    bomb = png(20000, 20000, 1, 0, [])  # 60 bytes that ask for 400 million pixels
    with pytest.raises(Image.DecompressionBombError, match="400000000 pixels"):
        decode_image(bomb, 8, 3)


def test_more_pixels_than_memory_is_meant_for_are_refused(monkeypatch):
    monkeypatch.setattr(module, "_pixels_in_memory", Budget(100 * 100))
    image = Image.new("RGB", (200, 100))
    with pytest.raises(ValueError, match="200 x 100 pixels; at most 10,000 are .*smaller copy"):
        decode_image(encoded(image), 8, 3)
    # A JPEG of that size is decoded at an eighth and fits.
    assert decode_image(encoded(image, "JPEG"), 8, 3).width == 200


def test_pixels_are_given_back_after_success_and_failure(monkeypatch):
    monkeypatch.setattr(module, "_pixels_in_memory", Budget(64 * 64))
    whole = encoded(Image.effect_noise((64, 64), 50))
    for _ in range(3):
        assert decode_image(whole, 8, 3).width == 64
        with pytest.raises(OSError, match="truncated"):
            decode_image(whole[:900], 8, 3)
