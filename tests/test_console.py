"""Consoles that cannot show everything, readers that go away, warnings as notes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import trainer.__main__ as trainer_command
from comfyui_cldis import cli
from comfyui_cldis.checkpoint import read_header
from comfyui_cldis.console import on_console
from comfyui_cldis.warning import AmountWarning

ROOT = Path(__file__).resolve().parent.parent
NAME = "肌色"
COMMANDS = [(cli.main, "info"), (trainer_command.main, "card")]

Main = Callable[[list[str]], int]


@pytest.fixture
def model(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    return path


def test_a_windows_pipe(model: Path) -> None:
    """The whole command with the encoding that Python takes for a file or a pipe on Windows."""
    done = subprocess.run(
        [sys.executable, "-m", "comfyui_cldis", "rename", str(model), "yaw", NAME],
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"'yaw' is now '\u808c\u8272'" in done.stdout
    assert NAME in [each.name for each in read_header(model).directions]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_name_that_the_console_cannot_show(
    model: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["rename", str(model), "yaw", NAME]) == 0
    shown = NAME if encoding == "utf-8" else r"\u808c\u8272"
    assert f"'yaw' is now '{shown}'" in stream.buffer.getvalue().decode(encoding)  # type: ignore
    assert sys.stdout is stream and stream.errors == "strict"  # as it was


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
@pytest.mark.parametrize(("main", "word"), COMMANDS)
def test_a_file_name_that_is_not_utf_8(
    model: Path, main: Main, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.fsdecode(os.fsencode(model.parent) + b"/Stra\xdfe.safetensors")
    model.rename(path)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main([word, path]) == 0
    assert rb"Stra\udcdfe.safetensors" in stream.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("buffering", [1, 2**20])
@pytest.mark.parametrize(("main", "word"), COMMANDS)
def test_a_reader_that_has_gone_is_no_error(
    model: Path, main: Main, word: str, buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", buffering, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        assert main([word, str(model)]) == 0
        assert main(["edti", str(model)]) == 2
        stream.write("nobody reads it")  # what Python does at its end is no error either
    monkeypatch.undo()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals as on Unix")
@pytest.mark.parametrize("buffering", [1, 2**20])
def test_a_terminal_that_was_closed_is_no_error(
    model: Path, buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, terminal = os.openpty()
    with open(terminal, "w", buffering, encoding="utf-8") as stream:
        os.close(window)
        with pytest.raises(OSError):
            os.write(terminal, b"x")
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        assert trainer_command.main(["card", str(model)]) == 0
    monkeypatch.undo()


def test_a_reader_that_goes_away_half_way_stops_nothing() -> None:
    """More than any buffer holds, on both streams, and then the work's own result."""
    work = (
        "import sys\n"
        "from comfyui_cldis.console import on_console\n"
        "with on_console(print):\n"
        "    for stream in (sys.stdout, sys.stderr):\n"
        "        for _ in range(1000):\n"
        "            stream.write('x' * 1000)\n"
        "            stream.flush()\n"
        "        stream.writelines(['a', 'b'])\n"
        "raise SystemExit(7)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", work], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 7


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
@pytest.mark.parametrize("buffering", [1, 2**20])
@pytest.mark.parametrize(("main", "word"), COMMANDS)
def test_a_full_disk_is_an_error(
    model: Path,
    main: Main,
    word: str,
    buffering: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open("/dev/full", "w", buffering, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main([word, str(model)]) == 2
    monkeypatch.undo()
    error = capsys.readouterr().err
    assert "No space left" in error and "Traceback" not in error


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (
            ["directions", "{}", "--image", "{}.png", "--steps", "1", "--sheet", "out.png"],
            "out.png",
        ),
        (["track", "{}", "--fast", "--json", "out.json"], "out.json"),
        (["evaluate", "--representation", "{}.npz", "--fast", "--json", "out.json"], "out.json"),
    ],
)
def test_files_are_written_before_anything_is_printed(
    model: Path, words: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    Image.new("RGB", (32, 32)).save(f"{model}.png")
    codes = np.random.default_rng(0).normal(size=(2000, 3))
    np.savez(f"{model}.npz", codes=codes, factors=(codes > 0).astype(int))
    with open("/dev/full", "w", 1, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main([word.format(model) for word in words]) == 2
    monkeypatch.undo()
    assert (model.parent / name).stat().st_size > 0


def test_warnings_of_the_library_are_notes_each_once() -> None:
    notes: list[str] = []
    with pytest.warns(UserWarning, match="another") as others, on_console(notes.append):
        for _ in range(2):
            warnings.warn("Too far. Limited.", AmountWarning, stacklevel=1)
        warnings.warn("another", UserWarning, stacklevel=1)
        warnings.warn_explicit(  # of metadata that do not count
            "Corrupt EXIF data", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin"
        )
    assert notes == ["Note: Too far. Limited."]
    assert [str(each.message) for each in others] == ["another"]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_missing_stream_stops_nothing(
    model: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with pythonw, or after `2>&-`; the bar of the work is written to stderr."""
    path, output = model.parent / "image.png", model.parent / "edited.png"
    Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(sys, name, None)
    words = ["--set", "yaw=1", "--steps", "1", "--model", str(model), "--output", str(output)]
    assert cli.main(["edit", str(path), *words]) == 0
    assert output.is_file()
    assert getattr(sys, name) is None
