"""Statistics file, progress lines, TensorBoard and events of a run."""

import builtins
import io
import json
import math
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from trainer.monitor.metrics_file import (
    append_record,
    drop_records_after,
    images_per_second,
    read_records,
)
from trainer.monitor.progress import (
    PlainDisplay,
    Progress,
    TerminalDisplay,
    describe_duration,
    describe_speed,
    describe_values,
    open_display,
)
from trainer.monitor.run_log import RunLog
from trainer.training.record import TrainingRecord

START = TrainingRecord(0, images=0, seconds=0.0)  # where a run begins


def record(step: int, seconds: float | None = None, **values) -> TrainingRecord:
    usual = TrainingRecord(
        step,
        images=32 * step,
        seconds=0.5 * step if seconds is None else seconds,
        diffusion=0.0617,
        distillation=0.0552,
        reconstruction=-751.2,
        kl=7.08,
        encoder_kl=8.3,
        kl_per_dimension=(3.5, 3.58),
        usage_per_dimension=(40.0, 0.5),
        gradient_norm=0.14,
        learning_rate=1e-3,
        capacity=7.02,
        kl_weight=559.1,
        used=0.912,
    )
    return replace(usual, **values)


# -- the statistics file -------------------------------------------------------------------------


def test_statistics_round_trip(tmp_path):
    path = tmp_path / "stats.jsonl"
    for step in (10, 20):
        append_record(path, record(step))
    assert read_records(path) == [record(10), record(20)]
    assert read_records(tmp_path / "none.jsonl") == []


def test_a_record_survives_json_and_unknown_keys_are_ignored():
    usual = record(10, planned_steps=100, is_warmup=True)
    values = json.loads(json.dumps(usual.to_json()))
    assert TrainingRecord.from_json(values) == usual
    assert TrainingRecord.from_json({**values, "new": 3, "note": "text"}) == usual
    assert list(values)[:4] == ["step", "planned_steps", "is_warmup", "images"]
    assert TrainingRecord(3).to_json() == {"step": 3, "is_warmup": False}
    broken = record(10, kl=float("nan"), kl_per_dimension=(1.0, float("inf")))
    text = json.dumps(broken.to_json(), allow_nan=False)  # JSON knows no other numbers
    read = TrainingRecord.from_json(json.loads(text))
    assert read == replace(broken, kl=None, kl_per_dimension=None)
    junk = {"step": 4, "kl": "7", "seconds": True, "is_warmup": 1, "kl_per_dimension": ["a"]}
    assert TrainingRecord.from_json(junk) == TrainingRecord(4)
    for step in (None, True, 1.5, "1"):
        with pytest.raises(ValueError, match="Give it a whole number"):
            TrainingRecord.from_json({"step": step})


def test_a_torn_or_foreign_line_is_left_out(tmp_path):
    path = tmp_path / "stats.jsonl"
    append_record(path, record(10))
    with open(path, "ab") as file:
        file.write(b'[1, 2]\n"text"\n{"no": "step"}\n\x00\xff\x80\n{"step": "20"}\n\n')
        file.write(b'{"step": 20, "diffu')
    assert read_records(path) == [record(10)]
    drop_records_after(path, 10)
    assert read_records(path) == [record(10)]
    append_record(path, record(20))  # on a line of its own although the last one was torn
    assert [item.step for item in read_records(path)] == [10, 20]


def test_resuming_cuts_what_lies_beyond(tmp_path):
    path = tmp_path / "stats.jsonl"
    for step in (10, 20, 30):
        append_record(path, record(step))
    with RunLog(tmp_path, 20, 100, use_tensorboard=False) as log:
        assert [item.step for item in read_records(path)] == [10, 20]
        log.write(record(30, diffusion=0.5), START)
    assert [item.step for item in read_records(path)] == [10, 20, 30]
    assert read_records(path)[-1].diffusion == 0.5
    assert [item.name for item in tmp_path.iterdir()] == ["stats.jsonl"]
    with RunLog(tmp_path, 0, 100, use_tensorboard=False):
        assert read_records(path) == []  # a run from the start begins its file anew


def test_speed_is_that_of_the_steps():
    assert images_per_second(record(10), record(30)) == 64.0  # 640 images in 10 s
    assert images_per_second(record(10), record(10)) is None
    assert images_per_second(record(10), TrainingRecord(20)) is None
    assert images_per_second(record(10), record(20, seconds=float("nan"))) is None
    assert images_per_second(START, TrainingRecord(1, images=8, seconds=2)) == 4.0


# -- progress ------------------------------------------------------------------------------------


def progress(step: int = 50, **values) -> Progress:
    return Progress(step, 100, 30.34, 1500.0, record(step, **values))


def test_lines_in_words():
    assert describe_speed(progress()) == "30.3 images/s, 25 min left"
    assert describe_speed(Progress(100, 100, 1234.6, 0.0, TrainingRecord(100))) == "1,235 images/s"
    assert describe_speed(Progress(1, 100, None, None, TrainingRecord(1))) == ""
    assert describe_values(record(10)) == (
        "diff 0.0617  dist 0.0552  rec -751  C 7.0  KL 7.1  used 0.91"
    )
    nothing = TrainingRecord(1, kl=float("nan"))
    assert describe_values(nothing) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h 00 min"),
        (11_100, "3 h 05 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert describe_duration(seconds) == text


def test_plain_lines_are_rare_and_plain(capfd):
    now = [0.0]
    display = PlainDisplay(clock=lambda: now[0])
    for step in range(1, 31):  # a record per second: at 0, 30 s and at the end of the run
        display.show(progress(step))
        now[0] += 1.0
    assert len(capfd.readouterr().err.splitlines()) == 1
    display.show(progress(31))
    line = capfd.readouterr().err
    assert line.startswith("step 31/100 | 30.3 images/s, 25 min left | diff 0.0617")
    display.show(progress(32))
    assert capfd.readouterr().err == ""
    display.show(progress(100))
    assert capfd.readouterr().err.startswith("step 100/100")
    for _ in range(99):
        display.show(progress(32))
    assert capfd.readouterr().err == ""
    display.show(progress(33))  # the hundredth silent record
    error = capfd.readouterr().err
    assert error.startswith("step 33/100") and "\x1b" not in error and "\r" not in error


def test_no_escape_codes_where_stderr_is_no_terminal(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with RunLog(tmp_path, 0, 20, use_tensorboard=False) as log:
        log.write(record(10), START)
        log.write(record(20), START)
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == "" and "\x1b" not in captured.err
    assert lines[0].startswith("step 10/20 | 64.0 images/s, 5 s left | diff")
    assert lines[1].startswith("step 20/20 | 64.0 images/s | diff")


@pytest.mark.parametrize(("term", "is_live"), [("xterm-256color", True), ("dumb", False)])
def test_a_terminal_gets_two_live_lines_unless_it_is_dumb(tmp_path, monkeypatch, term, is_live):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", term)
    with RunLog(tmp_path, 0, 20, use_tensorboard=False) as log:
        log.write(record(10), START)
        sys.stderr.write("a sentence\n")
    assert ("\x1b" in screen.getvalue()) == is_live
    assert "a sentence" in screen.getvalue()


def test_a_run_within_another_program_writes_plain_lines(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    opened = []
    thread = threading.Thread(target=lambda: opened.append(open_display(20, 0)))
    thread.start()
    thread.join()
    assert isinstance(opened[0], PlainDisplay) and screen.getvalue() == ""


@pytest.mark.parametrize("width", [80, 30])
def test_the_terminal_display_is_two_lines(width):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    display = TerminalDisplay(4000, 0, console)
    display.show(Progress(1810, 4000, 30.34, 1500.0, record(1810)))
    display.close()
    last = screen.getvalue().rsplit("\x1b[2K", 1)[-1].replace("\x1b[?25h", "").rstrip("\n")
    assert len(last.splitlines()) == 2
    if width == 80:
        first, second = last.splitlines()
        assert " 45% 1,810/4,000 30.3 images/s, 25 min left" in first
        assert second.startswith("diff 0.0617  dist 0.0552  rec -751  C 7.0  KL 7.1  used")


# -- events --------------------------------------------------------------------------------------


def read_events(stream: io.StringIO) -> list[dict]:
    def refuse(name: str):
        raise AssertionError(f"{name} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in stream.getvalue().splitlines()]


def test_one_event_per_record_with_speed_and_time_left(tmp_path):
    stream = io.StringIO()
    with RunLog(tmp_path, 0, 100, use_tensorboard=False, events=stream) as log:
        log.write(record(10, kl=float("nan")), START)
        log.write(TrainingRecord(20), START)
    first, second = read_events(stream)
    assert (first["event"], first["step"], first["steps"]) == ("step", 10, 100)
    assert '"images": 320,' in stream.getvalue()  # a count stays a whole number
    assert first["images_per_sec"] == 64.0  # 320 images in 5 s
    assert first["eta_sec"] == 45.0  # 90 steps of 0.5 s
    assert first["kl"] is None and first["diffusion"] == 0.0617
    assert "kl_per_dimension" not in first and "is_warmup" not in first
    # what is not known is null, so that a reader finds every key in every event
    known = {"event": "step", "step": 20, "steps": 100}
    assert second == {**dict.fromkeys(first), **known} and {"used", "capacity"} < second.keys()


def test_speed_is_recent_and_that_of_this_command(tmp_path):
    append_record(tmp_path / "stats.jsonl", record(100, seconds=1000.0))
    stream = io.StringIO()
    with RunLog(tmp_path, 105, 500, use_tensorboard=False, events=stream) as log:
        # stopped at step 105, and the first step after that took 90 s
        since = TrainingRecord(106, images=32 * 106, seconds=1190.0)
        log.write(record(106, seconds=1190.0), since)
        for index in range(1, 41):  # 10 steps a second after a slow start, then 5
            seconds = 1190.0 + index + max(0, index - 10)
            log.write(record(106 + 10 * index, seconds=seconds), since)
    events = read_events(stream)
    assert events[0]["images_per_sec"] is None and events[0]["eta_sec"] is None
    speeds = [event["images_per_sec"] for event in events[1:]]
    assert speeds[:10] == [320.0] * 10 and speeds[29:] == [160.0] * 11
    assert 160 < speeds[20] < 320
    assert events[1]["eta_sec"] == 38.4  # 384 steps


def test_the_quick_steps_of_the_warm_up_do_not_count_after_it(tmp_path):
    stream = io.StringIO()
    with RunLog(tmp_path, 0, 100, use_tensorboard=False, events=stream) as log:
        for step, seconds, is_warmup in ((10, 1.0, True), (20, 2.0, True), (30, 12.0, False)):
            log.write(record(step, seconds=seconds, is_warmup=is_warmup), START)
        log.write(record(40, seconds=22.0, is_warmup=False), START)
    assert [event["images_per_sec"] for event in read_events(stream)] == [320, 320, 32, 32]
    assert read_events(stream)[2]["eta_sec"] == 70.0


def test_an_image_is_saved_for_the_reader_of_events(tmp_path):
    stream = io.StringIO()
    image = Image.new("RGB", (4, 2), (250, 10, 20))
    with RunLog(tmp_path, 0, 100, use_tensorboard=False, events=stream) as log:
        log.image("../strong / latents", image, 50)
    (event,) = read_events(stream)
    path = Path(event.pop("path"))
    assert event == {"event": "image", "name": "../strong / latents", "step": 50}
    assert path.parent == (tmp_path / "samples").resolve()
    assert path.name == "_strong_latents_000050.png"
    with Image.open(path) as saved:
        assert saved.getpixel((1, 1)) == (250, 10, 20)


def test_a_reader_that_went_away_is_logged_once_and_nothing_is_lost(tmp_path, capfd):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("Broken pipe")

    with RunLog(tmp_path, 0, 100, use_tensorboard=False, events=Gone()) as log:
        log.write(record(10), START)
        log.write(record(20), START)
    assert capfd.readouterr().err.count("Nobody reads the events") == 1
    assert len(read_records(tmp_path / "stats.jsonl")) == 2


# -- TensorBoard ---------------------------------------------------------------------------------


def read_tensorboard(folder: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = accumulator.EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    return board.Reload()


def test_scalars_by_group_and_images(tmp_path):
    pytest.importorskip("tensorboard")
    with RunLog(tmp_path, 0, 100) as log:
        log.write(record(10, planned_steps=5, used=float("nan"), encoder_kl=None), START)
        log.image("traversals", Image.new("L", (8, 6)), 10)
    board = read_tensorboard(tmp_path)
    tags = set(board.Tags()["scalars"])
    assert {"loss/diffusion", "loop/capacity", "loop/kl", "speed/images_per_sec"} <= tags
    assert {"optimizer/gradient_norm", "kl_per_dimension/01", "usage_per_dimension/01"} <= tags
    assert not {"loop/used", "loop/encoder_kl"} & tags
    assert not [tag for tag in tags if tag.startswith("other/")]  # no curve: images, planned_steps
    (value,) = board.Scalars("loop/capacity")
    assert (value.step, value.value) == (10, pytest.approx(7.02))
    assert board.Scalars("speed/images_per_sec")[0].value == 64.0
    (image,) = board.Images("samples/traversals")
    assert (image.width, image.height, image.step) == (8, 6, 10)


def test_resuming_purges_what_lies_beyond(tmp_path):
    pytest.importorskip("tensorboard")
    with RunLog(tmp_path, 0, 100) as log:
        for step in (10, 20, 30):
            log.write(record(step), START)
    with RunLog(tmp_path, 20, 100) as log:
        log.write(record(40), START)
    assert [item.step for item in read_tensorboard(tmp_path).Scalars("loss/diffusion")] == [
        10,
        20,
        40,
    ]


def test_missing_tensorboard_is_logged_once(tmp_path, capfd, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **named):
        if name.split(".")[0] == "tensorboard" or name == "torch.utils.tensorboard":
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with RunLog(tmp_path, 0, 100) as log:
        log.write(record(10), START)
        log.image("traversals", Image.new("RGB", (4, 4)), 10)
    error = capfd.readouterr().err
    assert error.count("TensorBoard is not installed") == 1 and "pip install tensorboard" in error
    assert not (tmp_path / "tensorboard").exists()
    assert math.isclose(read_records(tmp_path / "stats.jsonl")[0].kl or 0.0, 7.08)


def test_tensorboard_can_be_switched_off(tmp_path, capfd):
    with RunLog(tmp_path, 0, 100, use_tensorboard=False) as log:
        log.write(record(10), START)
    assert not (tmp_path / "tensorboard").exists()
    assert "TensorBoard" not in capfd.readouterr().err
