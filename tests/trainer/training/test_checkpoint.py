"""States on disk: rotation, damage, a full disk, and what may change between two commands."""

import errno
import json
import math
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer.config.settings import load_preset
from trainer.errors import OutputTaken
from trainer.training.checkpoint import (
    StoredRun,
    check_config,
    describe_kept,
    load_state,
    read_config,
    save_state,
    state_files,
    write_config,
)

ROOT = Path(__file__).resolve().parents[3]
CONFIG = load_preset("tiny32")


def steps_in(folder):
    return [torch.load(path, weights_only=True)["step"] for path in state_files(folder)]


@pytest.mark.parametrize(("keep", "expected"), [(1, [5]), (2, [5, 4]), (3, [5, 4, 3])])
def test_states_rotate_newest_first(tmp_path, keep, expected):
    for step in range(1, 6):
        save_state(tmp_path, {"step": step}, keep)
    assert steps_in(tmp_path) == expected
    assert not list(tmp_path.glob("*.tmp"))


def test_fewer_states_are_kept_when_asked(tmp_path):
    for step in range(1, 6):
        save_state(tmp_path, {"step": step}, 4)
    save_state(tmp_path, {"step": 6}, 2)
    assert steps_in(tmp_path) == [6, 5]


def test_a_damaged_state_gives_way_to_the_one_before(tmp_path):
    for step in (1, 2):
        save_state(tmp_path, {"step": step})
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:100])
    state, damaged = load_state(tmp_path)
    assert state["step"] == 1
    assert list(damaged) == [tmp_path / "state.pt"]
    assert "state.pt cannot be read" in damaged[tmp_path / "state.pt"]


@pytest.mark.parametrize("names", [["state.pt"], ["state.pt", "state_1.pt"]])
def test_the_state_before_damaged_ones_outlives_the_next(tmp_path, names):
    for step in (1, 2, 3):
        save_state(tmp_path, {"step": step}, 3)
    for name in names:
        (tmp_path / name).write_bytes(b"garbage")
    state, damaged = load_state(tmp_path)
    save_state(tmp_path, {"step": 4}, 2, damaged)
    assert steps_in(tmp_path) == [4, state["step"]]


def test_only_damaged_states_are_an_error(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="cannot be read as a training state.*Delete it"):
        load_state(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to ..."),
    ],
)
def test_a_state_that_could_not_be_read_is_not_taken_for_damaged(tmp_path, monkeypatch, error):
    for step in (1, 2):
        save_state(tmp_path, {"step": step})
    load = torch.load

    def fail_on_newest(path, **options):
        if path.name == "state.pt":
            raise error
        return load(path, **options)

    monkeypatch.setattr(torch, "load", fail_on_newest)
    expected = "could not be read.*start the same run" if isinstance(error, OSError) else None
    with pytest.raises(OSError if expected else type(error), match=expected):
        load_state(tmp_path)


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_shortened_state_is_damaged(tmp_path, kept):
    for step in (1, 2):
        save_state(tmp_path, {"step": step, "weights": torch.zeros(10_000)})
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[:kept])
    state, damaged = load_state(tmp_path)
    assert state["step"] == 1 and list(damaged) == [tmp_path / "state.pt"]


def test_no_state_is_none(tmp_path):
    assert load_state(tmp_path) is None


def test_killed_between_the_two_renames(tmp_path):
    for step in (1, 2):
        save_state(tmp_path, {"step": step})
    (tmp_path / "state.pt").replace(tmp_path / "state_1.pt")  # as left by a kill in between
    (tmp_path / ".state.pt.0a1b.tmp").write_bytes(b"half")
    state, damaged = load_state(tmp_path)
    assert state["step"] == 2 and not damaged
    save_state(tmp_path, {"step": 3})
    assert steps_in(tmp_path) == [3, 2]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_full_disk_is_a_sentence_and_keeps_the_last_state(tmp_path):
    """A limit on the size of files stands in for the full disk."""
    script = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from trainer.training.checkpoint import save_state\n"
        "folder = Path(sys.argv[1])\n"
        "save_state(folder, {'step': 1})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    save_state(folder, {'step': 2, 'x': torch.zeros(1_000_000)})\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    assert hasattr(resource, "RLIMIT_FSIZE")
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        "could not be written" in run.stdout and "state that was saved last is kept" in run.stdout
    )
    assert steps_in(tmp_path) == [1]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    with pytest.raises(OSError, match="could not be written.*choose a folder you may write to"):
        save_state(tmp_path / "missing", {"step": 1})


def test_intervals_may_change_and_results_may_not(tmp_path):
    write_config(tmp_path, check_config(tmp_path, CONFIG, "images"))
    save_state(tmp_path, {"step": 1})
    longer = replace(CONFIG, steps=9, save_every_steps=1, keep_states=3)
    values = check_config(tmp_path, longer, "images")
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == CONFIG.steps
    write_config(tmp_path, values)
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 9
    changed = CONFIG.with_values({"loop.capacity_course": "fixed", "seed": 3})
    with pytest.raises(ValueError, match=r"\(loop.capacity_course was ramp, seed was 0\)"):
        check_config(tmp_path, changed, "images")


@pytest.mark.parametrize(
    ("objective", "is_free"),
    [
        ({}, True),
        ({"objective.name": "qlae", "loop.bottleneck": "constant"}, True),
        ({"objective.vne_weight": 1.0}, False),
        ({"objective.interaction_weight": 0.1}, False),
        ({"objective.name": "beta_tc"}, False),
        ({"objective.name": "factor"}, False),
        ({"objective.name": "dip_i"}, False),
        ({"objective.name": "dip_ii"}, False),
        ({"objective.name": "joint", "objective.discrete_sizes": [3]}, False),
    ],
)
def test_parts_of_a_batch_may_change_unless_images_are_compared(tmp_path, objective, is_free):
    config = CONFIG.with_values({"batch_size": 16, **objective})
    write_config(tmp_path, check_config(tmp_path, config, "images"))
    save_state(tmp_path, {"step": 1})
    parted = replace(config, accumulation_steps=4)
    if is_free:
        check_config(tmp_path, parted, "images")
        return
    words = r"\(accumulation_steps was 1, and the objective compares the images of a part\)"
    with pytest.raises(OutputTaken, match=words):
        check_config(tmp_path, parted, "images")
    with pytest.raises(OutputTaken, match=r"\(seed was 0\)"):
        check_config(tmp_path, replace(config, seed=1), "images")


@pytest.mark.parametrize(
    ("before", "now", "is_free"),
    [("/old/faces", "/new/faces", True), ("heads", "/faces", False), ("/faces", "heads", False)],
)
def test_images_may_have_moved_and_drawn_ones_are_part_of_the_settings(
    tmp_path, before, now, is_free
):
    """Whether images elsewhere are the same is told by the state, which has a hash of them."""
    write_config(tmp_path, check_config(tmp_path, CONFIG, before))
    save_state(tmp_path, {"step": 1})
    if is_free:
        assert check_config(tmp_path, CONFIG, now)["data"] == now
        return
    with pytest.raises(ValueError, match=rf'settings \(data was "?{before}"?\)'):
        check_config(tmp_path, CONFIG, now)


def without(path, key):
    """Take a setting out of a config.json, as before the version that brought it."""
    values = json.loads(path.read_text())
    *tables, last = key.split(".")
    table = values
    for name in tables:
        table = table[name]
    del table[last]
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("key", ["model.copilot.conditioner", "loop.skip_dropout", "feedback"])
def test_a_run_from_before_a_setting_came_has_its_default(tmp_path, key):
    write_config(tmp_path, check_config(tmp_path, CONFIG, "images"))
    save_state(tmp_path, {"step": 1})
    without(tmp_path / "config.json", key)
    assert read_config(tmp_path).config == CONFIG
    assert check_config(tmp_path, CONFIG, "images") == {"data": "images", **as_json(CONFIG)}


def test_a_run_from_before_the_least_error_variance_had_none(tmp_path):
    """So it resumes as it was, and under another value it would be another run."""
    key = "loop.distillation_error_variance"
    write_config(tmp_path, check_config(tmp_path, CONFIG, "images"))
    save_state(tmp_path, {"step": 1})
    without(tmp_path / "config.json", key)
    then = read_config(tmp_path).config
    assert then == CONFIG.with_values({key: 0.0}) != CONFIG
    assert check_config(tmp_path, then, "images")["loop"]["distillation_error_variance"] == 0
    with pytest.raises(OutputTaken, match=rf"with other settings \({key} was 0\.0\)\. Give the"):
        check_config(tmp_path, CONFIG, "images")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learning_rate": 0.5}, f"learning_rate was {CONFIG.learning_rate}"),
        ({"objective.name": "factor", "objective.weight": 2.0}, "name was plain, .*was not set"),
    ],
)
def test_a_refusal_names_the_stored_values(tmp_path, given, words):
    write_config(tmp_path, check_config(tmp_path, CONFIG, "images"))
    save_state(tmp_path, {"step": 1})
    with pytest.raises(OutputTaken, match=words):
        check_config(tmp_path, CONFIG.with_values({"batch_size": 64, **given}), "images")


def test_an_infinite_clip_norm_of_an_earlier_version_is_none(tmp_path):
    """It trained, and could not be exported: a model file holds no such number."""
    write_config(tmp_path, {**check_config(tmp_path, CONFIG, "images"), "clip_norm": math.inf})
    save_state(tmp_path, {"step": 1})
    assert "Infinity" in (tmp_path / "config.json").read_text()
    then = read_config(tmp_path).config
    assert then == replace(CONFIG, clip_norm=0.0)
    check_config(tmp_path, then, "images")


@pytest.mark.parametrize("change", [{"loop": {"telepathy": 1}}, {"ema": "none"}])
def test_settings_of_another_version_are_a_sentence(tmp_path, change):
    write_config(tmp_path, {**check_config(tmp_path, CONFIG, "images"), **change})
    save_state(tmp_path, {"step": 1})
    with pytest.raises(OutputTaken, match="this version does not take .* Resume with the release"):
        check_config(tmp_path, CONFIG, "images")


def as_json(config):
    return json.loads(json.dumps(config.to_dict()))


def test_settings_and_source_are_read_back(tmp_path):
    write_config(tmp_path, check_config(tmp_path, CONFIG, "some/images"))
    assert read_config(tmp_path) == StoredRun(CONFIG, "some/images", None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "3", '"data"'])
def test_a_damaged_config_is_a_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match="config.json is damaged.*train again"):
        read_config(tmp_path)
    with pytest.raises(ValueError, match="is not a run folder.*Give the output"):
        read_config(tmp_path / "nowhere")


def test_a_failure_before_the_first_state_does_not_promise_one(tmp_path):
    assert "No state had been saved yet" in describe_kept(tmp_path)
    (tmp_path / "state.pt").touch()
    assert describe_kept(tmp_path) == "The state that was saved last is kept."
