"""Image files of every kind come in by one rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.picture import check_output, read_image, write_image


def level(value: int) -> float:
    return value / 127.5 - 1


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def test_colours(tmp_path: Path) -> None:
    array = np.zeros((2, 3, 3), np.uint8)
    array[1, 2] = (10, 128, 255)
    image = read_image(save(tmp_path / "a.png", array))
    assert image.shape == (1, 3, 2, 3)
    assert image.dtype == torch.float32
    assert image[0, :, 1, 2].tolist() == pytest.approx([level(10), level(128), 1.0], abs=1e-6)
    assert image[0, :, 0, 0].tolist() == [-1.0] * 3


def test_eight_bits_survive_reading_and_writing(tmp_path: Path) -> None:
    array = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    image = read_image(save(tmp_path / "a.png", array))
    write_image(tmp_path / "b.png", image[0])
    with Image.open(tmp_path / "b.png") as opened:
        assert np.array_equal(np.asarray(opened), array)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((2, 2), 60, np.uint8))
    assert torch.equal(read_image(path), torch.full((1, 3, 2, 2), level(60)))
    assert torch.equal(read_image(path, channels=1), torch.full((1, 1, 2, 2), level(60)))


def test_colour_for_a_grey_model(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((2, 2, 3), 60, np.uint8))
    assert read_image(path, channels=1).shape == (1, 1, 2, 2)


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[0, 257 * 100 + 20, 65535]], np.uint16))
    row = read_image(path)[0, 0, 0]
    assert row.tolist() == pytest.approx([-1.0, level(100), 1.0], abs=1e-6)


def test_transparent_parts_lie_over_white(tmp_path: Path) -> None:
    array = np.zeros((1, 3, 4), np.uint8)
    array[0, 1, 3], array[0, 2, 3] = 128, 255
    row = read_image(save(tmp_path / "a.png", array))[0, 0, 0]
    assert row.tolist() == pytest.approx([1.0, level(127), -1.0], abs=1e-6)


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    opened = Image.new("P", (2, 1), 0)
    opened.putpalette([10, 20, 30, 40, 50, 60])
    opened.putpixel((1, 0), 1)
    opened.save(tmp_path / "a.png", transparency=0)
    image = read_image(tmp_path / "a.png")
    assert image[0, :, 0, 0].tolist() == [1.0, 1.0, 1.0]
    assert image[0, :, 0, 1].tolist() == pytest.approx([level(40), level(50), level(60)], abs=1e-6)


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated clockwise
    path = save(tmp_path / "a.jpg", np.zeros((10, 30, 3), np.uint8), exif=exif)
    assert read_image(path).shape == (1, 3, 30, 10)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif").min() == 1


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (1, 3, 4, 4)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tiff", np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="floating-point pixels"):
        read_image(path)


def test_more_than_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tiff", np.full((2, 2), 70_000, np.int32))
    with pytest.raises(ValueError, match="more than 16 bits"):
        read_image(path)


def test_an_image_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", np.zeros((64, 64), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="too many pixels"):
        read_image(path)


def test_a_broken_png_chunk_is_a_sentence(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[40:50] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a.png cannot be read as an image"):
        read_image(path)


def test_where_no_image_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allowed are .png"):
        check_output(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="Create it first"):
        check_output(tmp_path / "nowhere" / "a.png")
    check_output(tmp_path / "a.PNG", tmp_path / "b.png")
