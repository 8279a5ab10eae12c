"""Masks from files: white acts, black does not, at the size of the image that is edited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.imaging.mask import read_mask
from comfyui_cldis.imaging.reading import UnreadableImageError

RAMP = np.linspace(0, 255, 60).round().astype(np.uint8)[None].repeat(40, 0)  # 60 x 40 pixels


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_grey_is_the_share_at_each_pixel(tmp_path: Path) -> None:
    mask = read_mask(saved(Image.fromarray(RAMP), tmp_path / "m.png"), 60, 40)
    assert mask.dtype == torch.float32 and tuple(mask.shape) == (1, 40, 60)
    assert np.array_equal(mask[0].numpy(), RAMP.astype(np.float32) / 255)


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "I;16", "1"])
def test_other_modes_count_as_grey(mode: str, tmp_path: Path) -> None:
    grey = Image.fromarray(np.where(RAMP > 127, 255, 0).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert(mode)
    mask = read_mask(saved(image, tmp_path / "m.tif"), 60, 40)
    assert np.array_equal(mask[0].numpy(), np.asarray(grey) / 255)


@pytest.mark.parametrize("white", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_counts_alone_where_the_colours_are_one(
    white: int, mode: str, tmp_path: Path
) -> None:
    image = Image.new("L", (60, 40), white).convert(mode)
    image.putalpha(Image.fromarray(RAMP))
    mask = read_mask(saved(image, tmp_path / "m.png"), 60, 40)
    assert np.array_equal(mask[0].numpy(), RAMP.astype(np.float32) / 255)


@pytest.mark.parametrize(("stroke", "hidden"), [(0, 255), (255, 0), (90, 7)])
def test_colours_below_what_is_all_transparent_do_not_count(
    stroke: int, hidden: int, tmp_path: Path
) -> None:
    grey = np.where(RAMP > 0, stroke, hidden).astype(np.uint8)
    image = Image.fromarray(np.dstack([grey, RAMP]))
    mask = read_mask(saved(image, tmp_path / "m.png"), 60, 40)
    assert np.array_equal(mask[0].numpy(), RAMP.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("grey", "alpha", "expected"), [(0, 255, 0), (255, 255, 1), (255, 0, 0), (0, 0, 0)]
)
def test_a_mask_that_is_one_throughout(
    grey: int, alpha: int, expected: float, tmp_path: Path
) -> None:
    """Opaque black is a mask that holds all back, not a blank one."""
    image = Image.new("RGBA", (60, 40), (grey, grey, grey, alpha))
    mask = read_mask(saved(image, tmp_path / "m.png"), 60, 40)
    assert mask.min() == mask.max() == expected


def test_transparency_takes_from_a_painted_mask(tmp_path: Path) -> None:
    image = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(RAMP[:, ::-1].copy())])
    mask = read_mask(saved(image, tmp_path / "m.png"), 60, 40)
    expected = (RAMP / 255) * (RAMP[:, ::-1] / 255)
    assert np.allclose(mask[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(120, 80), (30, 20), (599, 400), (60, 40)])
def test_a_mask_of_the_same_shape_is_resized(width: int, height: int, tmp_path: Path) -> None:
    mask = read_mask(saved(Image.fromarray(RAMP), tmp_path / "m.png"), width, height)
    assert tuple(mask.shape) == (1, height, width)
    assert mask.min() >= 0 and mask.max() <= 1
    expected = (np.arange(width) + 0.5) / width
    assert np.abs(mask[0].numpy() - expected).max() < 0.02


@pytest.mark.parametrize(("width", "height"), [(40, 60), (60, 41), (62, 40)])
def test_another_shape_is_refused_with_both_sizes(width: int, height: int, tmp_path: Path) -> None:
    path = saved(Image.fromarray(RAMP), tmp_path / "m.png")
    with pytest.raises(ValueError, match=f"m.png has 60 x 40 .*{width} x {height}.*Draw"):
        read_mask(path, width, height)


def test_a_mask_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.fromarray(RAMP), tmp_path / "m.png", exif=exif)
    mask = read_mask(path, 40, 60)
    assert np.array_equal(mask[0].numpy(), np.rot90(RAMP, -1).astype(np.float32) / 255)


def test_unusable_masks_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.png"):
        read_mask(tmp_path / "none.png", 60, 40)
    (tmp_path / "m.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match="m.png cannot be read"):
        read_mask(tmp_path / "m.png", 60, 40)
    saved(Image.fromarray(RAMP.astype(np.float32)), tmp_path / "m.tif")
    with pytest.raises(UnreadableImageError, match=r"m.tif cannot be read .*0 \(black\)"):
        read_mask(tmp_path / "m.tif", 60, 40)
