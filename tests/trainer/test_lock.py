"""The lock of a run's folder: one command at a time, and nothing left of one that was refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from trainer.lock import LOCK_NAME, locked

ROOT = Path(__file__).resolve().parent.parent.parent
HOLD = """
import sys
from pathlib import Path
from trainer.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_kept_out_until_the_first_ends(tmp_path):
    run = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match=r"Another training uses .*run\. Wait for it"), locked(run):
        raise AssertionError("two hold one folder")
    assert run.is_dir()  # the refused one did not make it
    holder.kill()  # the lock goes with its process, however that ends
    holder.communicate()
    with locked(run):
        assert (run / LOCK_NAME).is_file()
    assert run.is_dir()  # it was there before


def test_a_refused_command_leaves_no_folder_that_it_made(tmp_path):
    run = tmp_path / "new" / "run"
    with pytest.raises(ValueError, match="refused"), locked(run):
        raise ValueError("refused")
    assert not run.exists()
    with locked(run):
        (run / "config.json").write_text("{}")
    assert (run / "config.json").is_file()


def test_a_folder_that_is_new_again_has_one_holder(tmp_path):
    run = tmp_path / "run"
    for _ in range(3):
        with (
            locked(run),
            pytest.raises(ValueError, match="Another training uses"),
            locked(run),
        ):
            raise AssertionError("two hold one folder")
        assert not run.exists()


def test_a_file_and_a_folder_that_cannot_be_made_are_sentences(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ValueError, match=r"file is a file\. Give a folder"),
        locked(tmp_path / "file"),
    ):
        pass
    with (
        pytest.raises(OSError, match=r"cannot be made: Not a directory\. Choose another output"),
        locked(tmp_path / "file" / "run"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "x"
