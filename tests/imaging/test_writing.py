"""Where an image may be written, how large it may be, and that an older one is kept until then."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.imaging.limits import MAX_WRITTEN_SIDE
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.writing import check_output, check_size, free_name, write_image


def test_eight_bits_survive_writing_and_reading(tmp_path: Path) -> None:
    array = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    write_image(tmp_path / "a.png", Image.fromarray(array))
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png").image), array)
    for name in ("a.jpg", "a.JPEG", "a.webp"):
        write_image(tmp_path / name, Image.new("RGB", (20, 10), "teal"))
        with Image.open(tmp_path / name) as image:
            assert image.size == (20, 10)


def test_where_no_image_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no ending that can be written. Use one of .png"):
        check_output(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="Create it first"):
        check_output(tmp_path / "nowhere" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        check_output(tmp_path / "folder.png")
    check_output(tmp_path / "a.PNG", tmp_path / "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="no /proc, where nothing can be written"
)
def test_a_folder_that_cannot_be_written_to() -> None:
    with pytest.raises(PermissionError, match=r"/proc cannot be written to .*Choose another\."):
        check_output(Path("/proc/a.png"))


@pytest.mark.parametrize(("ending", "kind"), [(".jpg", "JPEG"), (".webp", "WEBP")])
def test_the_limit_of_a_format_is_the_encoders_own(tmp_path: Path, ending: str, kind: str) -> None:
    longest = MAX_WRITTEN_SIDE[kind]
    path = tmp_path / f"a{ending}"
    write_image(path, Image.new("L", (longest, 1)))
    with pytest.raises((OSError, ValueError)):
        Image.new("L", (1, longest + 1)).save(io.BytesIO(), kind)
    for size in ((longest + 1, 1), (1, longest + 1)):
        with pytest.raises(ValueError, match=rf"{size[0]} x {size[1]} .* {longest} .*\.png"):
            check_size(path, *size)
        with pytest.raises(ValueError, match="hold at most"):
            write_image(path, Image.new("L", size))
    check_size(path.with_suffix(".png"), longest + 1, longest + 1)


def test_an_older_file_is_whole_until_the_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_image(path, Image.new("RGB", (4, 4), "teal"))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_image(path, Image.new("RGB", (8, 8)))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_a_link_stays_one_and_leads_to_the_new_image(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.png", tmp_path / "b.png"
    write_image(target, Image.new("RGB", (4, 4), "teal"))
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("this system does not allow links")
    write_image(link, Image.new("RGB", (8, 8)))
    assert link.is_symlink() and read_image(target).image.size == (8, 8)


def test_free_names_are_counted(tmp_path: Path) -> None:
    assert free_name(tmp_path / "a.png").name == "a.png"
    (tmp_path / "a.png").touch()
    (tmp_path / "a_2.png").touch()
    assert free_name(tmp_path / "a.png").name == "a_3.png"
