"""The kill drill of the benchmarks, with few kills."""

import json
import subprocess
import sys

import pytest
import torch

from benchmarks import kill_drill
from benchmarks.kill_drill import Kill, differences, drill, main, wait_to_end, write_report


def test_differences_are_found():
    state = {"a": torch.zeros(2), "b": [1, {"c": 2.0}], "seconds": 3}
    assert not list(differences(state, {**state, "seconds": 9}))
    assert list(differences(state, {**state, "a": torch.tensor([0.0, 1e-45])})) == ["state.a"]
    assert list(differences(state, {**state, "b": [1, {"c": 2.5}]})) == ["state.b[1].c"]
    assert list(differences(state, {"a": state["a"], "b": state["b"], "more": 1})) == ["state.more"]
    assert list(differences(state, {**state, "a": torch.zeros(2).double()})) == ["state.a"]


def test_a_kill_in_one_line():
    kill = Kill(2, 57, True, ("state.pt", "state_1.pt"))
    assert kill.describe(10, 300) == (
        "kill 2 of 10 at step 57 of 300, while writing a state; left: state.pt, state_1.pt"
    )
    assert Kill(1, 1, False, ()).describe(1, 9) == (
        "kill 1 of 1 at step 1 of 9, between two states; left: no state yet"
    )


def test_the_report_lists_every_kill_and_the_outcome(tmp_path):
    kills = [Kill(1, 4, False, ("state.pt",))]
    for found, is_identical in ((None, None), ([], True), (["state.step"], False)):
        write_report(tmp_path, kills, found, kills=2, steps=9, seed=0)
        assert json.loads((tmp_path / "drill.json").read_text()) == {
            "kills": 2,
            "steps": 9,
            "seed": 0,
            "is_identical": is_identical,
            "differences": found,
            "done": [{"number": 1, "step": 4, "was_writing": False, "states": ["state.pt"]}],
        }


def process(code, log):
    with open(log, "wb") as file:
        return subprocess.Popen([sys.executable, "-c", code], stdout=file, stderr=file)


def test_progress_of_a_run_and_its_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(kill_drill, "SECONDS_BETWEEN_LINES", 0.1)
    output, log, lines = tmp_path / "killed", tmp_path / "killed_log.txt", []
    output.mkdir()
    (output / "stats.jsonl").write_text('{"step": 7}\n')
    wait_to_end(process("import time; time.sleep(0.5)", log), output, 9, lines.append)
    assert lines[0] == "killed: step 7 of 9"
    assert lines[-1] == "killed: finished at step 7 of 9"
    wait_to_end(process("import time; time.sleep(0.5)", log), output, 7, lines.append)
    assert "killed: trained, measuring the model" in lines
    with pytest.raises(RuntimeError, match="exit code 3; its last line is: no space. Fix"):
        wait_to_end(process("print('no space'); raise SystemExit(3)", log), output, 9, lines.append)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kills", "0"], "0 is too small; use 1 or more"),
        (["--output", "{}"], "is not empty; choose a new folder"),
        (["--output", "{}/a.txt"], "choose another folder"),
    ],
)
def test_wrong_input_is_refused_before_anything_runs(tmp_path, capsys, arguments, words):
    (tmp_path / "a.txt").write_text("kept")
    with pytest.raises(SystemExit) as ended:
        main([text.format(tmp_path) for text in arguments])
    assert ended.value.code == 2 and words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(("found", "code"), [([], 0), (["state.step"], 1)])
def test_the_command_prints_how_the_drill_ended(tmp_path, capsys, monkeypatch, found, code):
    monkeypatch.setattr(kill_drill, "drill", lambda *_: found)
    output = tmp_path / "new" / "drill"
    assert main(["--kills", "1", "--steps", "20", "--output", str(output)]) == code
    printed = capsys.readouterr().out
    words = "DIFFERENT in 1 place after 1 kill and 20 steps: state.step" if found else "Identical"
    assert words in printed and f"Report: {output / 'drill.json'}" in printed


@pytest.mark.slow
def test_a_killed_run_ends_like_one_never_stopped(tmp_path):
    lines: list[str] = []
    assert drill(tmp_path, kills=3, steps=120, seed=1, log=lines.append) == []
    assert [line.split(" at ")[0] for line in lines if line.startswith("kill ")] == [
        f"kill {number} of 3" for number in (1, 2, 3)
    ]
    report = json.loads((tmp_path / "drill.json").read_text())
    assert report["is_identical"] is True and len(report["done"]) == 3
    assert (tmp_path / "killed_log.txt").stat().st_size > 0
