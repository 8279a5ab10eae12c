"""Folders and zip files of images: damaged files, limits, the cache and its errors."""

import errno
import io
import os
import shutil
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import trainer.data.folder
from trainer.data import open_images
from trainer.data.cache import CacheEntry, load_or_build, remove_unfinished

ORANGE = (250, 128, 10)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour=ORANGE, size=(40, 30)):
    return encoded(Image.new("RGB", size, colour))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    (root / "nested" / "deeper").mkdir(parents=True)
    (root / "b.png").write_bytes(plain((20, 0, 0)))
    (root / "nested" / "c.PNG").write_bytes(plain((30, 0, 0)))
    (root / "nested" / "deeper" / "d.bmp").write_bytes(
        encoded(Image.new("RGB", (9, 50), (40, 0, 0)), "BMP")
    )
    (root / "a.jpg").write_bytes(b"this is not an image")
    (root / "truncated.png").write_bytes(encoded(Image.effect_noise((64, 64), 50))[:900])
    (root / "notes.txt").write_text("not an image, and not counted")
    (root / ".hidden.png").write_bytes(plain())
    return root


def forbid_decoding(monkeypatch):
    def fail(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr("trainer.data.folder.decode_into", fail)


def reds(image_set):
    return image_set.images[:, 4, 4, 0].tolist()


# Sources


def test_folder_uses_what_it_can_and_reports_the_rest(folder, tmp_path):
    opened = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert isinstance(opened.images, np.memmap)
    assert opened.images.shape == (3, 8, 8, 3)
    assert reds(opened) == [20, 30, 40]  # in the order of their names
    report = opened.report
    assert (report.source, report.found, report.used) == (str(folder), 5, 3)
    reasons = dict(report.skipped)
    assert set(reasons) == {"a.jpg", "truncated.png"}
    assert reasons["a.jpg"].startswith("not an image of an accepted format")
    assert dict(report.ignored) == {".txt": 1, "hidden": 1}


def test_zip_equals_folder(folder, tmp_path):
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
        file.write(folder / "b.png", "__MACOSX/b.png")
    zipped = open_images(str(archive), 8, cache_dir=tmp_path / "cache")
    unzipped = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert np.array_equal(zipped.images, unzipped.images)
    assert zipped.report.skipped == unzipped.report.skipped


def test_oversized_image_is_skipped_and_a_large_jpeg_is_not(folder, tmp_path):
    bomb = bytearray(encoded(Image.new("1", (40, 40))))
    bomb[16:24] = struct.pack(">II", 20000, 20000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    (folder / "bomb.png").write_bytes(bytes(bomb))
    Image.new("L", (9600, 9600)).save(folder / "large.jpg")  # 92 million pixels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = open_images(str(folder), 8, cache_dir=tmp_path / "cache").report
    assert dict(report.skipped)["bomb.png"] == (
        "20000 x 20000 pixels; at most 67,108,864 are decoded; save a smaller copy"
    )
    assert report.findings.largest == (9600, 9600)


def test_limit_takes_a_seeded_choice_of_good_files(folder, tmp_path):
    def open_two(seed, cache):
        return open_images(str(folder), 8, cache_dir=tmp_path / cache, num_images=2, seed=seed)

    assert len(open_two(0, "one").images) == 2
    assert reds(open_two(0, "one")) == reds(open_two(0, "two"))
    assert len({tuple(reds(open_two(seed, "one"))) for seed in range(8)}) > 1


def test_linked_folders_are_followed_once(folder, tmp_path):
    try:
        (folder / "nested" / "loop").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not allow links")
    assert open_images(str(folder), 8, cache_dir=tmp_path / "cache").report.used == 3


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_resize_rule_reaches_the_pixels(tmp_path, resize):
    root = tmp_path / "wide"
    root.mkdir()
    halves = np.zeros((8, 32, 3), dtype=np.uint8)
    halves[:, :12] = 240  # the square in the middle starts at 12
    Image.fromarray(halves).save(root / "a.png")
    opened = open_images(str(root), 8, cache_dir=tmp_path / "cache", resize=resize)
    assert (opened.images.max() > 200) == (resize != "crop")
    assert opened.report.resize == resize
    rows_alike = np.ptp(opened.images, axis=1).max() == 0
    assert rows_alike


def test_names_that_a_terminal_would_obey_are_escaped(tmp_path):
    root = tmp_path / "odd"
    root.mkdir()
    (root / "good.png").write_bytes(plain())
    try:
        (root / "\x1b[2Jred\n.png").write_bytes(b"")
        (root / os.fsdecode(b"caf\xe9.png")).write_bytes(plain())
    except OSError:
        pytest.skip("this file system does not take such names")
    report = open_images(str(root), 8, cache_dir=tmp_path / "cache").report
    assert report.skipped[0][0] == "\\x1b[2Jred\\n.png"
    assert report.findings.samples[0] == (0, "caf\\udce9.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_what_is_no_plain_file_is_skipped_and_not_waited_for(folder, tmp_path):
    os.mkfifo(folder / "pipe.png")
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    reasons = dict(open_images(str(folder), 8, cache_dir=tmp_path / "cache").report.skipped)
    assert reasons["pipe.png"] == "not a plain file"
    assert "leads nowhere" in reasons["broken.png"]


def test_encrypted_and_damaged_zip_entries_are_skipped(tmp_path):
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("good.png", plain())
        file.writestr("torn.png", plain((1, 2, 3)))
    data = bytearray(archive.read_bytes())
    position = data.index(b"torn.png") + 40  # inside its pixels: the checksum fails
    data[position] ^= 255
    archive.write_bytes(bytes(data))
    report = open_images(str(archive), 8, cache_dir=tmp_path / "cache").report
    assert (report.found, report.used) == (2, 1)
    assert "Bad CRC-32" in dict(report.skipped)["torn.png"]


# The cache


def test_second_open_does_not_decode(folder, tmp_path, monkeypatch):
    first = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    forbid_decoding(monkeypatch)
    second = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert np.array_equal(first.images, second.images)
    assert first.report == second.report


def fail_to_read(patch, name):
    """As a network drive does that is away for a moment."""
    read = Path.read_bytes

    def read_bytes(path):
        if path.name == name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    patch.setattr(Path, "read_bytes", read_bytes)


def test_a_file_that_could_not_be_read_is_tried_again(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        fail_to_read(patch, "c.PNG")
        report = open_images(str(folder), 8, cache_dir=cache).report
    reason = "cannot be read (Input/output error); a run in another folder tries again"
    assert dict(report.skipped)["nested/c.PNG"] == reason
    assert (report.used, report.num_passing) == (2, 1)
    kept = open_images(str(folder), 8, cache_dir=cache, retry_failed=False)
    assert reds(kept) == [20, 40] and kept.report == report
    del kept
    whole = open_images(str(folder), 8, cache_dir=cache)
    assert reds(whole) == [20, 30, 40] and whole.report.num_passing == 0
    assert len(list(cache.iterdir())) == 2
    forbid_decoding(monkeypatch)
    assert reds(open_images(str(folder), 8, cache_dir=cache)) == [20, 30, 40]


def test_an_entry_that_could_not_be_read_is_tried_again(folder, tmp_path, monkeypatch):
    archive, cache = tmp_path / "images.zip", tmp_path / "cache"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("b.png", "nested/c.PNG"):
            file.write(folder / name, name)
    read = zipfile.ZipFile.read

    def fail(self, entry, *more):
        if entry.filename == "b.png":
            raise OSError(errno.EIO, "Input/output error")
        return read(self, entry, *more)

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "read", fail)
        assert open_images(str(archive), 8, cache_dir=cache).report.num_passing == 1
    assert reds(open_images(str(archive), 8, cache_dir=cache)) == [20, 30]


@pytest.fixture
def keeps_mapped(monkeypatch):
    """Files that are mapped cannot be removed, as on Windows."""
    maps, unlink = Path("/proc/self/maps"), Path.unlink
    if not maps.is_file():
        pytest.skip("reads /proc/self/maps")

    def refuse(path, missing_ok=False):
        if os.path.realpath(path) in maps.read_text():
            raise PermissionError(errno.EACCES, "The file is in use", os.fspath(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)


@pytest.mark.parametrize(
    ("stop", "words"), [(ValueError, "none of them usable"), (KeyboardInterrupt, None)]
)
def test_what_stops_the_reading_is_told_where_mapped_files_stay(
    tmp_path, keeps_mapped, stop, words, monkeypatch
):
    root, cache = tmp_path / "images", tmp_path / "cache"
    root.mkdir()
    (root / "a.png").write_bytes(b"nothing" if words else plain())

    def interrupt(*_):
        raise KeyboardInterrupt

    if not words:
        monkeypatch.setattr("trainer.data.folder.decode_image", interrupt)
    with pytest.raises(stop, match=words):
        open_images(str(root), 8, cache_dir=cache)
    remove_unfinished(cache)
    assert list(cache.iterdir()) == []


def test_a_map_is_dropped_before_its_file_is_removed(tmp_path, keeps_mapped):
    entry = CacheEntry.of(tmp_path, (2, 8, 8, 3), origin="x", wanted={}, state={})

    def build(pixels):
        del pixels
        raise ValueError("nothing to build from")

    with pytest.raises(ValueError, match="nothing to build from"):
        load_or_build(entry, "x", build)
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_for_a_file_is_said_and_tried_again(folder, tmp_path, monkeypatch):
    whole = open_images(str(folder), 8, cache_dir=tmp_path / "other").report.used
    decode, calls = trainer.data.folder.decode_image, []

    def fail_once(content, *given):
        if content == (folder / "b.png").read_bytes() and not calls:
            calls.append(content)
            raise MemoryError
        return decode(content, *given)

    monkeypatch.setattr("trainer.data.folder.decode_image", fail_once)
    report = open_images(str(folder), 8, cache_dir=tmp_path / "cache").report
    assert report.used == whole - 1 and "too little memory" in report.describe()
    assert open_images(str(folder), 8, cache_dir=tmp_path / "cache").report.used == whole


@pytest.mark.parametrize("change", ["add", "touch", "remove", "size", "channels", "resize"])
def test_any_change_decodes_again(folder, tmp_path, monkeypatch, change):
    size, channels, resize = 8, 3, "crop"
    open_images(str(folder), size, cache_dir=tmp_path / "cache")
    if change == "add":
        (folder / "e.png").write_bytes(plain())
    elif change == "touch":
        os.utime(folder / "b.png", ns=(1, 1))
    elif change == "remove":
        (folder / "b.png").unlink()
    elif change == "size":
        size = 9
    elif change == "channels":
        channels = 1
    else:
        resize = "pad"
    forbid_decoding(monkeypatch)
    with pytest.raises(AssertionError, match="decoded again"):
        open_images(
            str(folder), size, cache_dir=tmp_path / "cache", channels=channels, resize=resize
        )


def test_the_older_copy_of_a_changed_folder_stays_until_it_is_removed_and_no_other(
    folder, tmp_path
):
    def cached():
        return {path.name for path in (tmp_path / "cache").iterdir()}

    open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    first = cached()
    open_images(str(folder), 9, cache_dir=tmp_path / "cache")
    both = cached()
    assert len(first) == 2 and len(both) == 4
    (folder / "e.png").write_bytes(plain())
    changed = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert changed.report.used == 4 and cached() > both
    again = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert {path.name for path in changed.older} == {path.name for path in again.older} == first
    again.remove_older()
    assert not cached() & first
    assert cached() > both - first


def test_moved_folder_is_found_again(folder, tmp_path, monkeypatch):
    open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    moved = folder.rename(tmp_path / "moved")
    forbid_decoding(monkeypatch)
    report = open_images(str(moved), 8, cache_dir=tmp_path / "cache").report
    assert (report.source, report.used) == (str(moved), 3)


@pytest.mark.parametrize("text", ["", "[]", '{"found": 5, "used": 3}', '{"version": 2}'])
def test_report_of_an_older_version_is_made_again(folder, tmp_path, text):
    first = open_images(str(folder), 8, cache_dir=tmp_path / "cache").report
    (path,) = (tmp_path / "cache").glob("*.json")
    path.write_text(text)
    assert open_images(str(folder), 8, cache_dir=tmp_path / "cache").report == first
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_damaged_cache_is_built_again(folder, tmp_path):
    first = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    expected = np.array(first.images)
    del first
    (pixels,) = (tmp_path / "cache").glob("*.npy")
    pixels.write_bytes(pixels.read_bytes()[:200])
    assert np.array_equal(
        open_images(str(folder), 8, cache_dir=tmp_path / "cache").images, expected
    )


def test_failed_build_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    forbid_decoding(monkeypatch)
    with pytest.raises(AssertionError):
        open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


# Errors


def test_missing_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or file .*nowhere.* Give a folder"):
        open_images(str(tmp_path / "nowhere"), 8, cache_dir=tmp_path)


def test_file_that_is_no_zip(folder, tmp_path):
    with pytest.raises(ValueError, match="is a single image. Put some hundreds"):
        open_images(str(folder / "b.png"), 8, cache_dir=tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="of a kind that holds no images. Give a folder"):
        open_images(str(tmp_path / "notes.txt"), 8, cache_dir=tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"PK but not really")
    with pytest.raises(ValueError, match="not a readable zip file"):
        open_images(str(tmp_path / "bad.zip"), 8, cache_dir=tmp_path)


def test_no_usable_image_names_the_extensions(tmp_path):
    root = tmp_path / "empty"
    root.mkdir()
    with pytest.raises(ValueError, match=r"has 0 image files. Check .*\.jpg, \.jpeg, .*\.webp"):
        open_images(str(root), 8, cache_dir=tmp_path / "cache")
    (root / "broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 image file, .*broken\.png: "):
        open_images(str(root), 8, cache_dir=tmp_path / "cache")


def test_cache_folder_that_cannot_be_made(folder, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OSError, match="cannot be written.*Choose a folder"):
        open_images(str(folder), 8, cache_dir=blocked / "cache")


def test_a_full_disk_is_refused_before_writing(folder, tmp_path, monkeypatch):
    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    with pytest.raises(OSError, match="GiB free"):
        open_images(str(folder), 8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    "options",
    [{"image_size": 0}, {"channels": 2}, {"num_images": 0}, {"seed": -1}, {"resize": "squash"}],
)
def test_numbers_out_of_range_are_named(folder, tmp_path, options):
    ((name, value),) = options.items()
    options = {"image_size": 8, "cache_dir": tmp_path, **options}
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}.*\. [A-Z].*\.$"):
        open_images(str(folder), **options)


def test_a_link_into_a_hidden_folder_is_not_hidden(folder, tmp_path):
    """As git-annex, DVC and others keep them."""
    root = tmp_path / "data"
    shutil.copytree(folder, root / ".store" / "faces")
    (root / ".store" / "index").touch()
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "00.png").touch()
    with pytest.raises(ValueError, match="0 image files"):
        open_images(str(root), 8, cache_dir=tmp_path / "cache")
    (root / "faces").symlink_to(root / ".store" / "faces", target_is_directory=True)
    report = open_images(str(root), 8, cache_dir=tmp_path / "cache").report
    alone = open_images(str(folder), 8, cache_dir=tmp_path / "cache").report
    assert report.used == alone.used and dict(report.ignored)["hidden"] == 3


def test_zip_entries_that_lead_out_are_skipped_by_name(tmp_path):
    archive = tmp_path / "images.zip"
    names = ("../out.png", "/etc/root.png", "a/../../b.png", "..\\win.png", "C:\\x.png")
    with zipfile.ZipFile(archive, "w") as file:
        for index, name in enumerate((*names, "in/a..b.png", ".dot.png")):
            file.writestr(name, plain((20 * index, 0, 0)))
    for _ in range(2):  # decoded, then from the cache
        report = open_images(str(archive), 8, cache_dir=tmp_path / "cache").report
        reasons = dict(report.skipped)
        assert len(reasons) == 5 and {*reasons.values()} == {
            "its name leads out of the zip file; create the file again without that"
        }
        assert "../out.png" in reasons and "a/../../b.png" in reasons
        assert (report.found, report.used, dict(report.ignored)) == (6, 1, {"hidden": 1})


def test_a_dangling_link_is_reported_with_its_target_also_from_the_cache(folder, tmp_path):
    cache = tmp_path / "cache"
    assert open_images(str(folder), 8, cache_dir=cache).report.found == 5
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    for _ in range(2):
        report = open_images(str(folder), 8, cache_dir=cache).report
        assert dict(report.skipped)["gone.png"] == (
            f"a link that leads nowhere: {tmp_path / 'nowhere.png'}"
        )
        assert report.found == 6 == report.used + len(report.skipped)


def test_one_file_is_counted_in_the_singular(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    (root / "a.png").write_bytes(b"no")
    (root / "notes").write_text("x")
    with pytest.raises(ValueError, match="has 1 image file, none of them.*1 other file [(]1 wi"):
        open_images(str(root), 8, cache_dir=tmp_path / "cache")
    (root / "a.png").write_bytes(plain())
    report = open_images(str(root), 8, cache_dir=tmp_path / "cache").report
    assert "1 image found, all used" in report.describe()
    assert "the crop cuts off 25 % of its area (a.png)" in report.describe()  # 40 x 30
    (root / "b.png").write_bytes(plain())
    report = open_images(str(root), 8, cache_dir=tmp_path / "cache").report
    assert "2 of those used are one image, pixel by pixel, which counts twice" in report.describe()
