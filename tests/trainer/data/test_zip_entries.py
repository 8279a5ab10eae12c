"""Zip files as data: what Python does not unpack, what is damaged, and odd names."""

import io
import struct
import zipfile

import pytest
from PIL import Image

from trainer.data import open_images
from trainer.data.files import open_files


def plain(red, size=(10, 10)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def make_zip(path, contents):
    """Stored entries in order; a name may stand there again."""
    with zipfile.ZipFile(path, "w") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # of a name that is there already
        for name, content in contents:
            archive.writestr(name, content)
    return path


def patched(path, *, method=None, flag=0, version=None, name=None):
    """Rewrites the headers of all entries, or of the one called `name`."""
    data = bytearray(path.read_bytes())
    # Distances from the signature: version needed, flags, method, length of the name, name.
    layouts = {b"PK\x03\x04": (4, 6, 8, 26, 30), b"PK\x01\x02": (6, 8, 10, 28, 46)}
    for signature, (at_version, at_flag, at_method, at_length, at_name) in layouts.items():
        place = data.find(signature)
        while place >= 0:
            (length,) = struct.unpack_from("<H", data, place + at_length)
            own = bytes(data[place + at_name : place + at_name + length])
            if name is None or own == name:
                if method is not None:
                    struct.pack_into("<H", data, place + at_method, method)
                if version is not None:
                    struct.pack_into("<H", data, place + at_version, version)
                (flags,) = struct.unpack_from("<H", data, place + at_flag)
                struct.pack_into("<H", data, place + at_flag, flags | flag)
            place = data.find(signature, place + 4)
    path.write_bytes(data)
    return path


def opened(path, tmp_path):
    return open_images(str(path), 8, cache_dir=tmp_path / "cache")


def reds(image_set):
    return image_set.images[:, 4, 4, 0].tolist()


@pytest.fixture
def archive(tmp_path):
    contents = [(f"p{index}.png", plain(20 * index)) for index in range(4)]
    return make_zip(tmp_path / "data.zip", contents)


HOW = {
    "Deflate64": ({"method": 9}, "compressed with Deflate64, which Python does not unpack"),
    "PPMd": ({"method": 98}, "compressed with PPMd"),
    "unknown": ({"method": 55}, "compressed with method 55"),
    "encrypted": ({"flag": 0x1}, "encrypted"),
    "strongly encrypted": ({"flag": 0x41}, "encrypted"),
}


@pytest.mark.parametrize("kind", HOW)
def test_a_zip_that_python_does_not_unpack_is_named_and_its_images_are_not(archive, tmp_path, kind):
    change, phrase = HOW[kind]
    with pytest.raises(ValueError, match=rf"data\.zip .*: the zip file is {phrase}") as caught:
        opened(patched(archive, **change), tmp_path)
    message = str(caught.value)
    assert ("without a password" in message) is ("encrypted" in kind)
    assert "has 4 image files" in message and ". Unpack it and give the folder" in message
    assert "p0.png" not in message and "undamaged" not in message


@pytest.mark.parametrize("kind", HOW)
def test_the_other_images_of_such_a_zip_are_used(archive, tmp_path, kind):
    change, phrase = HOW[kind]
    image_set = opened(patched(archive, name=b"p1.png", **change), tmp_path)
    assert reds(image_set) == [0, 40, 60]
    ((name, reason),) = image_set.report.skipped
    assert name == "p1.png" and reason.startswith("the zip file is ")
    assert phrase in reason


def test_a_zip_of_a_later_version_is_a_sentence(archive, tmp_path):
    with pytest.raises(
        ValueError, match=r"data.zip asks for a newer reader \(zip file version 7.0\) than Python"
    ):
        opened(patched(archive, version=70), tmp_path)


def test_each_content_under_one_name_counts_once(tmp_path):
    contents = [("a/same.png", plain(20 * index)) for index in (1, 2, 2, 3, 1)]
    image_set = opened(make_zip(tmp_path / "data.zip", contents), tmp_path)
    assert sorted(reds(image_set)) == [20, 40, 60]
    names = [name for _, name in image_set.report.findings.samples]
    assert names == ["a/same (2).png", "a/same (3).png", "a/same.png"]
    assert image_set.report.found == 3


def test_a_numbered_name_that_is_there_already_keeps_its_content(tmp_path):
    contents = [("a.png", plain(20)), ("a (2).png", plain(40)), ("a.png", plain(60))]
    image_set = opened(make_zip(tmp_path / "data.zip", contents), tmp_path)
    assert [name for _, name in image_set.report.findings.samples] == [
        "a (2).png",
        "a (3).png",
        "a.png",
    ]
    assert reds(image_set) == [40, 60, 20]


def test_names_of_no_stated_encoding_are_read(tmp_path):
    path = make_zip(tmp_path / "data.zip", [("name.png", plain(20)), ("nime.png", plain(40))])
    data = path.read_bytes().replace(b"name.png", "näe.png".encode())
    path.write_bytes(data.replace(b"nime.png", b"n\xff\xfee.png"))  # no UTF-8
    image_set = opened(path, tmp_path)
    names = [name for _, name in image_set.report.findings.samples]
    assert names[0] == "n\N{NO-BREAK SPACE}■e.png"
    assert names[1] == "näe.png"
    assert reds(image_set) == [40, 20]


def test_a_name_that_is_not_the_utf8_it_claims_to_be_is_a_sentence(tmp_path):
    path = make_zip(tmp_path / "data.zip", [("name.png", plain(20))])
    path.write_bytes(path.read_bytes().replace(b"name.png", b"n\xff\xfee.png"))
    with pytest.raises(ValueError, match=r"marked as UTF-8 and is not \(b'n\\xff\\xfee.png'\)"):
        opened(patched(path, flag=0x800), tmp_path)


def test_a_damaged_entry_names_the_zip_and_leaves_the_others(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    data[data.index(b"p2.png") + 40] ^= 255  # inside its pixels
    archive.write_bytes(data)
    image_set = opened(archive, tmp_path)
    assert reds(image_set) == [0, 20, 60]
    ((name, reason),) = image_set.report.skipped
    assert name == "p2.png" and reason.startswith("the zip file is damaged here (Bad CRC-32")
    assert reason.endswith("copy or create it again")


def test_a_zip_cut_off_is_a_sentence_wherever_it_is_cut(archive, tmp_path):
    whole = archive.read_bytes()
    for length in range(1, len(whole), 7):
        archive.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="not a readable zip file .*Copy or create it again"):
            opened(archive, tmp_path)


def test_a_damaged_directory_is_a_sentence_or_leaves_images_to_read(archive, tmp_path):
    whole = archive.read_bytes()
    for place in range(whole.index(b"PK\x01\x02"), len(whole)):
        for value in (0, 0xFF, 0x46):
            archive.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                with open_files(archive) as files:
                    for file in files.listed:
                        try:
                            files.read(file)
                        except ValueError as error:
                            assert str(error).startswith("the zip file is") or "at most" in str(
                                error
                            )
            except ValueError as error:
                assert "data.zip" in str(error)
