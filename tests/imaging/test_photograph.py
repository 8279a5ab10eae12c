"""Photographs in and out: only what was edited changes, and what the file carried stays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from comfyui_cldis.imaging.photograph import read_photograph

ORIENTATION, MAKER, EXPOSURE = 0x0112, 0x010F, 0x829A


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
    options = {"lossless": True} if ending == ".webp" else {"quality": 90}
    Image.fromarray(noise).save(source, exif=exif, icc_profile=profile, **options)
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


def test_a_jpeg_is_written_with_its_own_tables(noise: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(noise).save(tmp_path / "in.jpg", quality=61, subsampling="4:4:4")
    photograph = read_photograph(tmp_path / "in.jpg")
    photograph.save(tmp_path / "out.jpg", photograph.pixels)
    with Image.open(tmp_path / "in.jpg") as a, Image.open(tmp_path / "out.jpg") as b:
        assert a.quantization == b.quantization  # type: ignore[attr-defined]
        difference = np.asarray(a).astype(int) - np.asarray(b)
    assert np.abs(difference).mean() < 0.2


def test_alpha_stays(noise: np.ndarray, tmp_path: Path) -> None:
    alpha = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
    Image.fromarray(np.dstack([noise, alpha])).save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png")
    assert photograph.pixels.shape[0] == 4
    photograph.save(tmp_path / "out.png", edited_corner(photograph.pixels))
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "RGBA" and np.array_equal(np.asarray(written)[..., 3], alpha)
    photograph.save(tmp_path / "out.jpg", photograph.pixels)  # over white
    with Image.open(tmp_path / "out.jpg") as written:
        assert np.asarray(written)[:, 0].min() > 240


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("CMYK", "mode CMYK"),
        ("L", ""),
        ("LA", "transparency"),
        ("P", ""),
        ("1", ""),
        ("I;16", "I;16"),
    ],
)
def test_other_modes_become_srgb_and_say_what_is_lost(
    mode: str, says: str, noise: np.ndarray, tmp_path: Path
) -> None:
    image = Image.fromarray(noise)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    path = tmp_path / ("in.tif" if mode == "CMYK" else "in.png")
    image.save(path)
    photograph = read_photograph(path)
    assert tuple(photograph.pixels.shape) == (3, 48, 64)
    assert (says in photograph.lost) if says else not photograph.lost
    photograph.save(tmp_path / "out.png", photograph.pixels)
    with Image.open(tmp_path / "out.png") as written:
        assert np.array_equal(np.asarray(written), photograph.pixels.permute(1, 2, 0).numpy())


def test_a_grey_model_gets_and_gives_grey(noise: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(noise).save(tmp_path / "in.png")
    photograph = read_photograph(tmp_path / "in.png", channels=1)
    assert photograph.pixels.shape[0] == 1 and "colours" in photograph.lost
    assert photograph.merged(photograph.pixels).mode == "L"


def test_damaged_exif_and_profile_stop_nothing(noise: np.ndarray, tmp_path: Path) -> None:
    encoded = io.BytesIO()
    exif = b"Exif\0\0" + b"II*\0\xff\xff\xff\x7f" + bytes(40)
    Image.fromarray(noise).save(encoded, "JPEG", exif=exif, icc_profile=b"x" * 200)
    (tmp_path / "in.jpg").write_bytes(encoded.getvalue())
    photograph = read_photograph(tmp_path / "in.jpg")
    photograph.save(tmp_path / "out.jpg", edited_corner(photograph.pixels))
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.size == (64, 48)


def test_the_small_preview_of_a_camera_is_left_out(noise: np.ndarray, tmp_path: Path) -> None:
    """It would still show the image before the edit."""
    exif = Image.Exif()
    exif[MAKER] = "A camera"
    exif.get_ifd(0x8769)[EXPOSURE] = 0.5
    Image.fromarray(noise).save(tmp_path / "in.jpg", exif=exif)
    photograph = read_photograph(tmp_path / "in.jpg")
    photograph.save(tmp_path / "out.jpg", photograph.pixels)
    with Image.open(tmp_path / "out.jpg") as written:
        found = written.getexif()
        assert found.get_ifd(0x8769)[EXPOSURE] == 0.5
        assert not found.get_ifd(1)
