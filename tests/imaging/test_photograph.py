"""Photographs in and out: only what was edited changes, and what the file carried stays."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from comfyui_cldis.imaging.photograph import read_photograph
from comfyui_cldis.imaging.reading import UnreadableImageError

ORIENTATION, MAKER, EXPOSURE, EXIF_IFD = 0x0112, 0x010F, 0x829A, 0x8769


@pytest.fixture
def noise() -> np.ndarray:
    """A smooth image (48, 64, 3) uint8, as photographs are."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC))


def wide_profile() -> bytes:
    """A profile that is not sRGB: that of a linear light RGB, made from a copy of sRGB's."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The red and the blue primary trade places, which moves every colour.
    red, blue = profile.find(b"rXYZ"), profile.find(b"bXYZ")
    swapped = bytearray(profile)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(swapped)


def display_p3() -> bytes:
    """The profile of telephones: sRGB's with the wider primaries of SMPTE EG 432-1, as in D50."""
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(struct.unpack_from(">I", profile, 128)[0]):
        name, place = struct.unpack_from(">4sI", profile, 132 + 12 * entry)
        if name in primaries:
            numbers = (round(value * 65536) for value in primaries[name])
            struct.pack_into(">3i", profile, place + 8, *numbers)
    return bytes(profile)


def png_chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def jpeg_segment(content: bytes, marker: int = 0xE1) -> bytes:
    return b"\xff" + struct.pack(">BH", marker, len(content) + 2) + content


# The resource of Photoshop that holds IPTC data, with a caption.
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", 6) + b"\x1c\2x\0\1a"


def edited_corner(pixels: torch.Tensor) -> torch.Tensor:
    edited = pixels.clone()
    edited[:3, :16, :16] = 255 - edited[:3, :16, :16]
    return edited


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_unedited_pixels_exif_and_profile_stay(
    ending: str, noise: np.ndarray, tmp_path: Path
) -> None:
    profile = wide_profile()
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = 6, "A camera"
    source, target = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    is_webp = ending == ".webp"
    Image.fromarray(noise).save(
        source, exif=exif, icc_profile=profile, lossless=is_webp, quality=90
    )
    photograph = read_photograph(source)
    assert tuple(photograph.pixels.shape) == (3, 64, 48) and not photograph.lost
    merged = np.asarray(photograph.merged(edited_corner(photograph.pixels)))
    stored = np.asarray(Image.open(source).convert("RGB").transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(merged[16:], stored[16:]) and np.array_equal(
        merged[:, 16:], stored[:, 16:]
    )
    assert np.abs(merged[:16, :16].astype(int) - stored[:16, :16]).mean() > 10
    photograph.save(target, edited_corner(photograph.pixels))
    with Image.open(target) as written:
        assert written.info["icc_profile"] == profile
        assert written.getexif()[MAKER] == "A camera" and ORIENTATION not in written.getexif()
        values = np.asarray(written.convert("RGB")).astype(int)
    limit = {".png": 0, ".jpg": 12, ".webp": 60}[ending]
    assert np.abs(values[24:, 24:] - stored[24:, 24:]).max() <= limit


def test_colours_of_a_profile_come_back(noise: np.ndarray, tmp_path: Path) -> None:
    """To sRGB and back: the edit means what it meant on the screen."""
    Image.fromarray(noise // 2 + 60).save(tmp_path / "in.png", icc_profile=wide_profile())
    photograph = read_photograph(tmp_path / "in.png")
    assert not np.array_equal(photograph.pixels.permute(1, 2, 0).numpy(), noise // 2 + 60)
    edited = edited_corner(photograph.pixels)
    edited[:, :16, :16] = edited[:, :16, :16].clamp(90, 160)
    photograph.save(tmp_path / "out.png", edited)
    again = read_photograph(tmp_path / "out.png").pixels.int()
    assert int((again - edited.int()).abs().max()) <= 3


def test_colours_beyond_srgb_have_no_seam_where_an_edit_fades_out(tmp_path: Path) -> None:
    """A telephone's saturated red, which sRGB cannot show, goes as the edit grows, not at once."""
    own = np.full((4, 256, 3), (250, 20, 30), np.uint8)
    Image.fromarray(own).save(tmp_path / "in.png", icc_profile=display_p3())
    photograph = read_photograph(tmp_path / "in.png")
    edited = photograph.pixels.clone()
    edited[1] = torch.arange(256) // 2  # green, from none to half
    merged = np.asarray(photograph.merged(edited)).astype(int)
    assert np.array_equal(merged[:, :2], own[:, :2])
    assert np.abs(np.diff(merged, axis=1)).max() <= 4
    photograph.save(tmp_path / "out.png", edited)
    again = read_photograph(tmp_path / "out.png").pixels[:, :, 128:].int()
    assert int((again - edited[:, :, 128:].int()).abs().max()) <= 2


def test_a_jpeg_is_written_with_its_own_tables(noise: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(noise).save(tmp_path / "in.jpg", quality=61, subsampling="4:4:4")
    photograph = read_photograph(tmp_path / "in.jpg")
    photograph.save(tmp_path / "out.jpg", photograph.pixels)
    with Image.open(tmp_path / "in.jpg") as a, Image.open(tmp_path / "out.jpg") as b:
        assert a.quantization == b.quantization  # type: ignore[attr-defined]
        difference = np.asarray(a).astype(int) - np.asarray(b)
    assert np.abs(difference).mean() < 0.2


@pytest.mark.parametrize("turn", [1, 3, 6])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_pixels_of_a_jpeg_hardly_change(turn: int, subsampling: str, tmp_path: Path) -> None:
    """However it is turned: the tables, which are not symmetric, turn with it."""
    coarse = np.random.default_rng(0).normal(128, 50, (12, 16)).clip(0, 255).astype(np.uint8)
    grey = np.asarray(Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC))
    image = Image.merge("RGB", [Image.fromarray(grey // 2 + offset) for offset in (20, 60, 90)])
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    image.save(tmp_path / "in.jpg", quality=70, subsampling=subsampling, exif=exif)
    photograph = read_photograph(tmp_path / "in.jpg")
    photograph.save(tmp_path / "out.jpg", photograph.pixels)
    with Image.open(tmp_path / "out.jpg") as written:
        change = np.abs(
            np.asarray(written).astype(int) - photograph.pixels.permute(1, 2, 0).numpy()
        )
    assert change.mean() < 0.15 and change.max() <= 6


def test_a_grey_jpeg_hardly_changes(noise: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(noise).convert("L").save(tmp_path / "in.jpg", quality=70)
    for channels in (1, 3):
        photograph = read_photograph(tmp_path / "in.jpg", channels)
        photograph.save(tmp_path / "out.jpg", photograph.pixels)
        written = read_photograph(tmp_path / "out.jpg", channels)
        assert float((written.pixels.int() - photograph.pixels.int()).abs().float().mean()) < 0.15


def test_alpha_stays(noise: np.ndarray, tmp_path: Path) -> None:
    alpha = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
    Image.fromarray(np.dstack([noise, alpha])).save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png")
    assert photograph.pixels.shape[0] == 4
    photograph.save(tmp_path / "out.png", edited_corner(photograph.pixels))
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "RGBA" and np.array_equal(np.asarray(written)[..., 3], alpha)
    assert "transparency" in photograph.lost_in("out.jpg") and not photograph.lost_in("out.png")
    photograph.save(tmp_path / "out.jpg", photograph.pixels)  # over white
    with Image.open(tmp_path / "out.jpg") as written:
        assert np.asarray(written)[:, 0].min() > 240


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA"])
def test_modes_that_rgb_can_hold_lose_nothing(mode: str, noise: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(noise).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png")
    expected = np.asarray(image.convert("RGBA" if mode.endswith("A") else "RGB"))
    assert not photograph.lost
    assert np.array_equal(photograph.pixels.permute(1, 2, 0).numpy(), expected)
    photograph.save(tmp_path / "out.png", photograph.pixels)
    with Image.open(tmp_path / "out.png") as written:
        assert np.array_equal(np.asarray(written), expected)


def test_one_transparent_colour_becomes_alpha(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), (10, 20, 30))
    image.putpixel((1, 0), (50, 60, 70))
    image.save(tmp_path / "in.png", transparency=(10, 20, 30))
    pixels = read_photograph(tmp_path / "in.png").pixels
    assert pixels[:, 0].T.tolist() == [[10, 20, 30, 0], [50, 60, 70, 255]]


def test_a_dark_transparent_colour_of_16_bits_becomes_alpha(tmp_path: Path) -> None:
    """No value of it is above 255, and in 8 bits it is black."""
    key = struct.pack(">HHH", 10, 20, 30)
    row = key + struct.pack(">HHH", 60000, 20, 30)
    (tmp_path / "in.png").write_bytes(deep_png(row, png_chunk(b"tRNS", key)))
    pixels = read_photograph(tmp_path / "in.png").pixels
    assert pixels[3].tolist() == [[0, 255], [0, 255]]


def test_what_an_8_bit_image_cannot_hold_is_said(noise: np.ndarray, tmp_path: Path) -> None:
    grey = Image.fromarray(np.asarray(Image.fromarray(noise).convert("L")).astype(np.uint16) * 257)
    grey.save(tmp_path / "grey16.png")
    (tmp_path / "colour16.png").write_bytes(deep_png())
    Image.fromarray(noise).convert("CMYK").save(tmp_path / "cmyk.jpg", icc_profile=b"x" * 200)
    for kind in ("gif", "png", "webp", "tif"):
        frames = [Image.fromarray(noise), Image.fromarray(noise[::-1])]
        frames[0].save(tmp_path / f"frames.{kind}", save_all=True, append_images=frames[1:])
    depth, frames = "its depth of more than 8 bits per channel", "all of its frames but the first"
    for name, says in (
        ("grey16.png", depth),
        ("colour16.png", depth),
        ("cmyk.jpg", "its colours as CMYK, which become RGB and its colour profile"),
        *((f"frames.{kind}", frames) for kind in ("gif", "png", "webp", "tif")),
    ):
        photograph = read_photograph(tmp_path / name)
        assert photograph.lost == says, name
        assert photograph.pixels.shape[0] == 3
        photograph.save(tmp_path / "out.jpg", photograph.pixels)


XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
WORKFLOW = "its texts, ComfyUI's workflow among them"


def texts(*keys: str, packed: bool = False) -> PngInfo:
    info = PngInfo()
    for key in keys:
        if key.startswith("XML"):
            info.add_itxt(key, XMP.decode(), zip=packed)
        else:
            info.add_text(key, "{}", zip=packed)
    return info


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("a.png", {"pnginfo": texts("prompt", "workflow")}, WORKFLOW),
        ("a.png", {"pnginfo": texts("workflow", packed=True)}, WORKFLOW),
        ("a.png", {"pnginfo": texts("Software")}, "its texts"),
        ("a.png", {"pnginfo": texts("XML:com.adobe.xmp")}, "its XMP data"),
        ("a.png", {"pnginfo": texts("XML:com.adobe.xmp", "a")}, "its XMP data and its texts"),
        ("a.webp", {"xmp": XMP}, "its XMP data"),
        ("a.jpg", {"comment": b"ours"}, "its comment"),
        ("a.jpg", {"extra": jpeg_segment(b"http://ns.adobe.com/xap/1.0/\0" + XMP)}, "its XMP data"),
        ("a.jpg", {"extra": jpeg_segment(IPTC, 0xED)}, "its IPTC data"),
        ("a.tif", {"tiffinfo": {700: XMP}}, "its XMP data"),
        ("a.tif", {"tiffinfo": {33723: b"\x1c\2x"}}, "its IPTC data"),
        ("a.gif", {"comment": b"ours"}, "its comment"),
    ],
)
def test_words_beside_the_pixels_that_are_not_kept_are_said(
    name: str, options: dict, says: str, noise: np.ndarray, tmp_path: Path
) -> None:
    image = Image.fromarray(noise)
    image.save(tmp_path / name, **options)
    lost = read_photograph(tmp_path / name).lost
    assert sorted(lost.split(" and ")) == sorted(says.split(" and "))


def test_texts_behind_the_pixels_are_found_and_damaged_ones_stop_nothing(
    noise: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-12] + png_chunk(b"tEXt", b"workflow\0{}") + whole[-12:])
    assert read_photograph(path).lost == WORKFLOW
    path.write_bytes(whole[:-12] + b"\xff\xff\xff\xfftEXtworkflow")
    assert read_photograph(path).pixels.shape == (3, 48, 64)


def deep_png(row: bytes = bytes(range(12)), *more: bytes) -> bytes:
    """2 x 2 pixels of RGB with 16 bits per channel, which Pillow does not write."""

    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
    rows = png_chunk(b"IDAT", zlib.compress((b"\0" + row) * 2))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + rows + png_chunk(b"IEND", b"")


def test_a_grey_model_gets_and_gives_grey(noise: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(noise).save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png", channels=1)
    assert photograph.pixels.shape[0] == 1 and "colours" in photograph.lost
    assert photograph.merged(photograph.pixels).mode == "L"


def test_a_grey_model_keeps_alpha(noise: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(noise).convert("LA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png", channels=1)
    assert photograph.pixels.shape[0] == 2 and not photograph.lost
    for ending in (".png", ".jpg", ".webp"):
        photograph.save(tmp_path / f"out{ending}", photograph.pixels)
    with Image.open(tmp_path / "out.png") as written:
        assert np.array_equal(np.asarray(written), np.asarray(image))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_damaged_exif_stops_nothing(ending: str, noise: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[MAKER], exif[0x0128] = "A camera", 2
    exif.get_ifd(EXIF_IFD)[EXPOSURE] = 0.5
    exif.get_ifd(0x8825)[1] = "N"
    data = exif.tobytes()[6:]
    encoded = io.BytesIO()
    kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[ending]
    Image.fromarray(noise).save(encoded, kind, exif=exif, icc_profile=b"x" * 200)
    whole = encoded.getvalue()
    assert whole.count(data) == 1
    generator = np.random.default_rng(0)
    source = tmp_path / f"in{ending}"
    for case in range(40):
        broken = bytearray(data)
        for place in generator.integers(0, len(data), 1 + case % 8):
            broken[place] = generator.integers(0, 256)
        source.write_bytes(whole.replace(data, bytes(broken)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Pillow finds odd in them
            photograph = read_photograph(source)
        for other in (".jpg", ".png", ".webp"):
            photograph.save(tmp_path / f"out{other}", photograph.pixels)
            with Image.open(tmp_path / f"out{other}") as written:
                assert sorted(written.size) == [48, 64]


def test_the_small_preview_of_a_camera_is_left_out(noise: np.ndarray, tmp_path: Path) -> None:
    """It would still show the image before the edit."""
    preview = io.BytesIO()
    Image.fromarray(noise).resize((16, 12)).save(preview, "JPEG")
    (tmp_path / "in.jpg").write_bytes(with_preview(noise, preview.getvalue()))
    with Image.open(tmp_path / "in.jpg") as source:
        assert source.getexif().get_ifd(ExifTags.IFD.IFD1)
    photograph = read_photograph(tmp_path / "in.jpg")
    for ending in (".jpg", ".png", ".webp"):
        target = tmp_path / f"out{ending}"
        photograph.save(target, photograph.pixels)
        with Image.open(target) as written:
            found = written.getexif()
            assert found[MAKER] == "Cam" and not found.get_ifd(ExifTags.IFD.IFD1)
        assert preview.getvalue()[20:] not in target.read_bytes()


def with_preview(pixels: np.ndarray, preview: bytes) -> bytes:
    """A JPEG file with the preview where cameras put it: in the EXIF data's second directory."""
    first = struct.pack("<HHHI4sI", 1, MAKER, 2, 4, b"Cam\0", 26)
    entries = ((0x0103, 3, 6), (0x0201, 4, 26 + 42), (0x0202, 4, len(preview)))
    second = struct.pack("<H", 3) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + first + second + bytes(4) + preview
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", exif=exif)
    return encoded.getvalue()


@pytest.mark.parametrize("turn", [1, 6])
def test_exif_speaks_of_the_copy(turn: int, noise: np.ndarray, tmp_path: Path) -> None:
    """A TIFF file keeps where its strips lie among its EXIF data, and the size they had."""
    tags = ImageFileDirectory_v2()
    tags[MAKER], tags[ORIENTATION] = "A camera", turn
    tags[EXIF_IFD] = {0xA002: 64, 0xA003: 48, 0x9003: "2024:01:01 00:00:00"}
    Image.fromarray(noise).save(tmp_path / "in.tif", tiffinfo=tags)
    photograph = read_photograph(tmp_path / "in.tif")
    photograph.save(tmp_path / "out.jpg", photograph.pixels)
    with Image.open(tmp_path / "out.jpg") as written:
        found = written.getexif()
        assert set(found) == {MAKER, EXIF_IFD}
        assert found.get_ifd(EXIF_IFD) == {
            0xA002: written.width,
            0xA003: written.height,
            0x9003: "2024:01:01 00:00:00",
        }
        assert written.size == ((64, 48) if turn == 1 else (48, 64))


def test_exif_too_long_for_jpeg_is_left_out_and_said(noise: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[MAKER] = "x" * 70000
    Image.fromarray(noise).save(tmp_path / "in.png", exif=exif)
    photograph = read_photograph(tmp_path / "in.png")
    assert "too long" in photograph.lost_in("out.jpg") and not photograph.lost_in("out.png")
    for ending in (".jpg", ".png"):
        photograph.save(tmp_path / f"out{ending}", photograph.pixels)
    with Image.open(tmp_path / "out.png") as written:
        assert len(written.getexif()[MAKER]) == 70000


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_resolution_stays(ending: str, noise: np.ndarray, tmp_path: Path) -> None:
    for dpi, kept in (((300, 150), (300, 150)), ((0, 0), None)):
        Image.fromarray(noise).save(tmp_path / f"in{ending}", dpi=dpi)
        photograph = read_photograph(tmp_path / f"in{ending}")
        for other in (".jpg", ".png"):
            photograph.save(tmp_path / f"out{other}", photograph.pixels)
            with Image.open(tmp_path / f"out{other}") as written:
                found = written.info.get("dpi")
            assert (found and tuple(map(round, found))) == kept


@pytest.mark.parametrize(
    ("name", "options", "is_lossless"),
    [
        ("in.png", {}, True),
        ("in.bmp", {}, True),
        ("in.tif", {"compression": "tiff_lzw"}, True),
        ("in.tif", {"compression": "jpeg"}, False),
        ("in.webp", {"lossless": True}, True),
        ("in.webp", {"lossless": True, "icc_profile": b"x" * 301}, True),
        ("in.webp", {"lossless": True, "save_all": True, "frames": True}, True),
        ("in.webp", {"lossless": False}, False),
        ("in.webp", {"lossless": False, "alpha": True, "icc_profile": b"x" * 301}, False),
        ("in.jpg", {}, False),
    ],
)
def test_webp_is_lossless_if_the_file_was(
    name: str, options: dict, is_lossless: bool, noise: np.ndarray, tmp_path: Path
) -> None:
    options = dict(options)
    image = Image.fromarray(noise)
    if options.pop("alpha", False):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    if options.pop("frames", False):
        options["append_images"] = [Image.fromarray(noise[::-1])]
    image.save(tmp_path / name, **options)
    photograph = read_photograph(tmp_path / name)
    photograph.save(tmp_path / "out.webp", photograph.pixels)
    with Image.open(tmp_path / "out.webp") as written:
        same = np.array_equal(np.asarray(written), photograph.pixels.permute(1, 2, 0).numpy())
    assert same == is_lossless


def test_lossless_webp_keeps_colours_below_transparency(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    values[:8, :, 3] = 0
    Image.fromarray(values).save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png")
    photograph.save(tmp_path / "out.webp", photograph.pixels)
    with Image.open(tmp_path / "out.webp") as written:
        assert np.array_equal(np.asarray(written), values)


def test_an_unusable_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 300, np.float32)).save(tmp_path / "in.tif")
    with pytest.raises(UnreadableImageError, match=r"^in.tif cannot be read .*0 \(black\)"):
        read_photograph(tmp_path / "in.tif")


def test_other_shapes_and_dtypes_are_refused(noise: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(noise).save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png")
    for edited in (photograph.pixels[:, :8], photograph.pixels / 255):
        with pytest.raises(ValueError, match="Edit the photograph's pixels"):
            photograph.save(tmp_path / "out.png", edited)
    assert not (tmp_path / "out.png").exists()


def test_twelve_megapixels_are_read_whole_and_merged_in_strips(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(tmp_path / "in.jpg")
    photograph = read_photograph(tmp_path / "in.jpg")
    assert tuple(photograph.pixels.shape) == (3, 3000, 4000)
    edited = photograph.pixels.clone()
    edited[:, 250:270, 1000:1010] = 255 - edited[:, 250:270, 1000:1010]
    edited[:, -1, -1] = 7
    merged = np.asarray(photograph.merged(edited))
    assert np.array_equal(merged, edited.permute(1, 2, 0).numpy())
