"""Numbers with their nouns, and what a mistyped name or path may have meant."""

import shlex
from pathlib import Path

import pytest

from comfyui_cldis.wording import command_line, counted, has_control, hint, nearest, printable
from trainer.errors import TooFewSteps

NAMES = ("heads", "shapes3d-equivalent", "dsprites-equivalent")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("headz", "heads"),
        ("Heads", "heads"),
        ("shapes3d", "shapes3d-equivalent"),
        ("dsprites-equivalant", "dsprites-equivalent"),
        ("zzzz", None),
    ],
)
def test_names_that_are_nearly_right(text, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert nearest(text, NAMES) == name


def test_paths_that_are_nearly_right(tmp_path):
    (tmp_path / "faces" / "train").mkdir(parents=True)
    (tmp_path / "cats.zip").write_bytes(b"")
    for typed, meant in (
        ("face", "faces"),
        ("Faces/train", "faces/train"),
        ("facez/nowhere", "faces"),
        ("faces/trian", "faces/train"),
        ("cat.zip", "cats.zip"),
    ):
        assert nearest(str(tmp_path / typed), ()) == str(tmp_path / meant), typed
    for typed in ("dogs", "cats.zip/x", "a/b/c"):
        assert nearest(str(tmp_path / typed), ()) is None, typed


@pytest.mark.parametrize(
    ("number", "words"), [(1, "1 step"), (0, "0 steps"), (2000, "2,000 steps")]
)
def test_numbers_with_their_nouns(number, words):
    assert counted(number, "step") == words


def test_a_plural_that_is_not_regular():
    assert counted(1, "process", "processes") == "1 process"
    assert counted(2, "process", "processes") == "2 processes"


def test_a_hint_follows_a_sentence_or_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hint("headz", NAMES) == " Did you mean 'heads'?"
    assert hint("zzzz", NAMES) == ""


SCRIPTS = ("größer", "笑顔\u3000大", "می\u200cخواهم", "क्\u200dष", "à\u00a0droite", "👩\u200d🚀")


def test_what_a_terminal_would_take_for_commands_is_escaped():
    for text in SCRIPTS:
        assert printable(text) == text and not has_control(text)
    assert printable("a\x1b[2J\x9b\nb\u202e\u2028\udcfc") == (r"a\x1b[2J\x9b\nb\u202e\u2028\udcfc")
    for character in "\x00\t\n\r\x1b\x7f\x9b\u2028\ud800":
        assert has_control(f"a{character}b")


def test_commands_are_quoted_as_the_terminal_of_the_system_reads_them(monkeypatch):
    words = ("cldis", "export", Path("my runs") / "cat's", "--data", "PATH")
    monkeypatch.setattr("sys.platform", "linux")
    assert shlex.split(command_line(*words)) == [str(word) for word in words]
    assert command_line("cldis", "export", Path("run")) == "cldis export run"
    monkeypatch.setattr("sys.platform", "win32")
    assert command_line("cldis", "export", r"C:\my runs\cats") == r'cldis export "C:\my runs\cats"'


def test_the_remedy_of_a_run_that_is_too_long_can_be_copied():
    text = str(TooFewSteps(Path("my run"), 9, 8, None))
    assert f"For the model as it is now: {command_line('cldis', 'export', Path('my run'))}." in text
    assert "export my run" not in text
