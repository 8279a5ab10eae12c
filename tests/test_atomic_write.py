"""Files are replaced whole or stay as they were."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from comfyui_cldis.atomic_write import replacing, unfinished, write_bytes, write_text

posix = pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "file.json"
    path.write_bytes(b"old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_new_and_replaced_files(tmp_path: Path, old: Path) -> None:
    write_text(tmp_path / "new.txt", "grün\n")
    write_bytes(old, b"new")
    assert (tmp_path / "new.txt").read_bytes() == b"gr\xc3\xbcn\n"
    assert old.read_bytes() == b"new"
    assert names(tmp_path) == ["file.json", "new.txt"]


def full_disk(path: Path) -> None:
    path.write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def damaged(path: Path) -> None:
    path.write_bytes(b"half of it")
    raise ValueError("the content cannot be written")


def stopped(path: Path) -> None:
    path.write_bytes(b"half of it")
    raise KeyboardInterrupt


@pytest.mark.parametrize("writer", [full_disk, damaged, stopped])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path: Path, writer, exists: bool) -> None:
    path = tmp_path / "file.json"
    if exists:
        path.write_bytes(b"old")
    with pytest.raises((OSError, ValueError, KeyboardInterrupt)), replacing(path) as temporary:
        writer(temporary)
    assert names(tmp_path) == (["file.json"] if exists else [])
    assert not exists or path.read_bytes() == b"old"


@pytest.mark.parametrize("writer", [full_disk, damaged, stopped])
def test_a_file_that_cannot_be_removed_hides_no_error(tmp_path: Path, old: Path, writer) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "The file is in use", os.fspath(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)  # as on Windows, of a file that is mapped
        errors = (OSError, ValueError, KeyboardInterrupt)
        with pytest.raises(errors) as caught, replacing(old) as temporary:
            writer(temporary)
    assert not isinstance(caught.value, PermissionError)
    assert old.read_bytes() == b"old" and len(unfinished(old)) == 1


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path: Path, old: Path) -> None:
    with pytest.raises(OSError, match=r"file\.json'$") as full, replacing(old) as temporary:
        full_disk(temporary)
    assert full.value.errno == errno.ENOSPC and full.value.filename == str(old)
    with pytest.raises(FileNotFoundError) as missing:
        write_bytes(tmp_path / "nowhere" / "a.bin", b"")
    assert missing.value.filename == str(tmp_path / "nowhere" / "a.bin")
    with pytest.raises(IsADirectoryError) as folder:
        write_bytes(tmp_path, b"")
    assert folder.value.filename == str(tmp_path)


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path, old: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, replacing(old):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")


def test_a_writer_that_removes_its_file_is_an_error(old: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(old) as temporary:
        temporary.unlink()
    assert old.read_bytes() == b"old"


@posix
def test_a_symbolic_link_stays_one(tmp_path: Path, old: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.json"
    link.symlink_to(Path("..") / "file.json")
    write_bytes(link, b"new")
    assert link.is_symlink() and old.read_bytes() == b"new"
    assert names(tmp_path / "links") == ["link.json"]
    link.unlink()
    link.symlink_to(tmp_path / "not yet.json")
    write_bytes(link, b"first")
    assert link.is_symlink() and (tmp_path / "not yet.json").read_bytes() == b"first"


@posix
def test_permissions_are_those_of_the_old_file_or_of_any_new_one(tmp_path: Path, old: Path) -> None:
    old.chmod(0o640)
    (tmp_path / "usual").touch()
    for path in (old, tmp_path / "new"):
        with replacing(path) as temporary:
            temporary.chmod(0o600)  # as safetensors does
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


@posix
def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_bytes(pipe, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["a" * 250, "ü" * 120, "[x].*", " spaced "])
def test_names_at_the_limits(tmp_path: Path, name: str) -> None:
    if sys.platform == "win32":
        pytest.skip("other limits")
    write_bytes(tmp_path / name, b"x")
    assert names(tmp_path) == [name]


def test_what_is_unfinished(tmp_path: Path, old: Path) -> None:
    other = tmp_path / "other.json"
    with replacing(old) as temporary:
        assert unfinished(old) == [temporary] and unfinished(other) == []
    assert unfinished(old) == []
    assert unfinished(tmp_path / "nowhere" / "file") == []
