"""Zip files within a folder of images: found by the names in them, without unpacking."""

import os
import zipfile

import pytest
from PIL import Image

from trainer.data import DataReport, files, open_images, zips
from trainer.data.zips import names_in


def make_zip(path, *names, comment=b""):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
        archive.comment = comment
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    (root / "more").mkdir(parents=True)
    Image.new("RGB", (9, 9), "red").save(root / "a.png")
    return root


def line_of_zips(folder, tmp_path):
    """The line of the report about zip files, from a first opening and from the cache alike."""
    lines = []
    for _ in range(2):
        report = open_images(str(folder), 8, cache_dir=tmp_path / "cache").report
        assert DataReport.from_json(report.to_json()) == report
        lines.append([line.strip() for line in report.describe().split("\n") if "unpack" in line])
    assert lines[0] == lines[1]
    return "".join(lines[0])


@pytest.mark.parametrize("comment", [b"", b"a comment", b"x" * 65_535, b"PK\x05\x06"])
def test_names_are_those_that_zipfile_reads(tmp_path, comment):
    names = ("a.png", "deep/er/b.txt", "win\\c.jpg")
    path = make_zip(tmp_path / "x.zip", *names, comment=comment)
    assert [*names_in(path)] == ["a.png", "deep/er/b.txt", "win/c.jpg"]


def test_a_directory_of_64_bits_and_a_file_with_something_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # makes it write the longer records
    path = make_zip(tmp_path / "x.zip", "a.png", "b.png")
    assert b"PK\x06\x06" in path.read_bytes()
    path.write_bytes(b"#!/bin/sh" * 99 + path.read_bytes())
    assert [*names_in(path)] == ["a.png", "b.png"]


def test_only_the_beginning_of_a_long_directory_is_read(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "x.zip", *(f"{index:04d}.png" for index in range(100)))
    monkeypatch.setattr(zips, "MAX_DIRECTORY_BYTES", 54 * 10 + 50)  # 46 bytes and 8 of the name
    assert [*names_in(path)] == [f"{index:04d}.png" for index in range(10)]


def test_every_cut_and_every_wrong_byte_is_survived(tmp_path):
    whole = make_zip(tmp_path / "x.zip", "a.png", "b.txt").read_bytes()
    path = tmp_path / "damaged.zip"
    for place in range(len(whole)):
        path.write_bytes(whole[:place])
        assert [*names_in(path)] == []
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        assert len([*names_in(path)]) <= 2


def test_zips_with_images_are_named(folder, tmp_path):
    assert line_of_zips(folder, tmp_path) == ""
    make_zip(folder / "texts.zip", "a.txt", "__MACOSX/b.png", ".c.png", "png")
    (folder / "broken.zip").write_bytes(b"PK no")
    make_zip(folder / ".hidden.zip", "a.png")
    os.mkfifo(folder / "pipe.zip")
    (folder / "gone.zip").symlink_to(tmp_path / "nowhere.zip")
    assert line_of_zips(folder, tmp_path) == ""
    make_zip(folder / "more" / "b.ZIP", "x/y.JPEG")
    assert line_of_zips(folder, tmp_path) == (
        "the folder contains 1 zip file with images (more/b.ZIP): unpack it, or give it instead"
    )
    make_zip(folder / "c\n.zip", "z.tif")
    assert line_of_zips(folder, tmp_path) == (
        "the folder contains 2 zip files with images (c\\n.zip, more/b.ZIP): unpack them, or "
        "give one instead"
    )


def test_many_zips_are_looked_into_up_to_a_limit(folder, tmp_path, monkeypatch):
    for index in range(12):
        make_zip(folder / f"{index:02d}.zip", "a.png")
    assert "contains 12 zip files with images (00.zip, " in line_of_zips(folder, tmp_path)
    assert ", 09.zip, ...): unpack" in line_of_zips(folder, tmp_path)
    for module in (files, zips):
        monkeypatch.setattr(module, "MAX_ZIPS", 11)
    monkeypatch.setattr("trainer.data.report.MAX_ZIPS", 11)
    assert "contains at least 11 zip files" in line_of_zips(folder, tmp_path)


def test_a_folder_of_nothing_but_zips_is_refused_with_a_remedy(folder, tmp_path):
    (folder / "a.png").unlink()
    make_zip(folder / "all.zip", "a.png")
    with pytest.raises(ValueError, match=r"contains 1 zip file with images \(all.zip\): unpack it"):
        open_images(str(folder), 8, cache_dir=tmp_path / "cache")
