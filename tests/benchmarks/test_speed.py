"""The speed benchmark: choice of equal fidelity, comparisons, and a quick run of everything."""

import json

import pytest
import torch

from benchmarks.speed import DEFAULT, QUICK, main, ways_to_time
from benchmarks.speed_cases import CASES, OFFICIAL, OFFICIAL_SIZES, Way
from benchmarks.speed_fidelity import Fidelity, fewest_steps
from benchmarks.speed_report import compared_with, goals, whole
from benchmarks.speed_worker import evaluations, measure_preview
from comfyui_cldis.editing.changes import is_trackable
from comfyui_cldis.model.diffae import DiffAE


def found(pair: str, steps: int, reconstruction: float, edit: float) -> Fidelity:
    return Fidelity(Way(pair, pair, steps, steps), 2 * steps, reconstruction, edit)


def row(way: Way, invert: float, batch: int = 1) -> dict:
    stages = {
        stage: {"wall": seconds, "cpu": seconds}
        for stage, seconds in (("encode", 0.5), ("invert", invert), ("decode", 1.0))
    }
    sizes = {"memory_bytes": 2**20, "working_bytes": 2**19}
    return {"case": "demo", "batch": batch, "way": way.to_dict(), "stages": stages} | sizes


def test_fewest_steps_needs_both_errors():
    goal = Fidelity(OFFICIAL[0], 350, 1.0, 2.0)
    choices = [
        found("ddim", 10, 0.9, 2.1),
        found("unipc", 20, 1.1, 1.0),
        found("ddim_2m uncorrected", 30, 1.0, 2.0),
        found("bdia", 40, 0.0, 0.0),
    ]
    best = fewest_steps(choices, goal)
    assert best is not None and best.way.name == "ddim_2m uncorrected"
    assert fewest_steps(choices[:2], goal) is None


def test_ways_that_are_timed_stand_below_the_official_one_they_equal():
    (official,) = QUICK.official
    judged = [
        Fidelity(official, 6, 1.0, 1.0),
        Fidelity(QUICK.default, 5, 0.1, 0.1),
        found("ddim_2m uncorrected", 4, 0.9, 0.9),
    ]
    names = [(way.name, way.layout) for way in ways_to_time(judged, QUICK, "cpu")]
    assert names == [
        (official.name, "contiguous"),
        ("ddim_2m uncorrected", "contiguous"),
        ("ddim_2m uncorrected", "channels_last"),
        (DEFAULT.name, "contiguous"),
    ]


def test_a_row_is_compared_with_the_official_one_before_it():
    first, second = OFFICIAL
    rows = [row(first, 8), row(Way("a", "ddim", 9, 9), 2), row(second, 4), row(DEFAULT, 3)]
    names = [way.name for way in OFFICIAL]
    assert compared_with(rows[1], rows, names) is rows[0]
    assert compared_with(rows[3], rows, names) is rows[2]
    assert whole(rows[0]) == 9.5
    (line,) = goals(rows, names, "cpu")
    assert "2.7 times as fast (goal 3: not reached)" in line


def test_evaluations_of_the_official_way():
    assert evaluations(CASES["demo"](), OFFICIAL[0]) == (250, 100)
    assert evaluations(CASES["demo at 32"](), DEFAULT) == (21, 20)


def test_a_quick_run_writes_everything(tmp_path, capsys):
    main(["--quick", "--device", "cpu", "--output", str(tmp_path)])
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"speed.json", "speed.md", "speed_fidelity.png", "speed_growth.png"}
    results = json.loads((tmp_path / "speed.json").read_text())
    assert (tmp_path / "speed.md").read_text() == capsys.readouterr().out
    assert {each["way"]["pair"] for each in results["fidelity"]} >= {
        "ddim",
        "ddim_2m",
        "bdia",
    }
    for each in results["times"]:
        assert all(seconds["wall"] > 0 for seconds in each["stages"].values())
        assert each["evaluations"][0] >= each["way"]["inversion_steps"] - 1
    assert [len(rows) for rows in results["growth"].values()] == [1, 1, 1]


def test_official_sizes_have_as_many_weights_as_the_published_models():
    with torch.device("meta"):
        sizes = {
            name: sum(weight.numel() for weight in DiffAE(config).parameters()) / 1e6
            for name, config in OFFICIAL_SIZES.items()
        }
    assert sizes == pytest.approx({"celeba64": 90.8, "ffhq128": 128.5, "ffhq256": 168.5}, abs=0.06)


def test_previews_of_published_sizes_follow_content():
    model = CASES["celeba64, adapted"]()
    assert is_trackable(model)
    assert measure_preview(model, "cpu", 1)["preview"]["wall"] > 0
