"""What becomes of an earlier call's results when the sweep's file, or a run, is another by now."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from trainer.arguments import parse
from trainer.errors import OutputTaken
from trainer.run import Outcome
from trainer.sweep import sweep as module
from trainer.sweep.command import run
from trainer.sweep.earlier import joined
from trainer.sweep.sweep_file import load_sweep
from trainer.training.checkpoint import as_trained, check_config, write_config

NONE: dict[tuple[str, int], Exception] = {}


@pytest.fixture
def call(tmp_path, monkeypatch, file_text, write):
    """Runs the sweep of a text; each run that is not in `fails` counts its calls as its hours."""
    calls = []

    def measure(folder, model, config):
        return {"hours": len(calls)}

    monkeypatch.setattr(module, "measure", measure)

    def sweep(text=file_text, *more, fails=NONE):
        def trainer(settings, log):
            place = (settings.output.parent.name, settings.config.seed)
            if place in fails:
                raise fails[place]
            settings.output.mkdir(parents=True, exist_ok=True)
            calls.append(place)
            config = as_trained(settings.output, settings.config)
            values = check_config(settings.output, config, settings.source)
            write_config(settings.output, values)
            torch.save({"step": settings.config.steps}, settings.output / "state.pt")
            return Outcome(True, 20, Path("model.safetensors"))

        path, logged = write(tmp_path / "s.toml", text), []
        arguments = ["sweep", str(path), "--output", str(tmp_path / "out"), "--device", "cpu"]
        code = run(parse([*arguments, *more]), logged.append, trainer)
        return code, logged

    sweep.calls = calls
    sweep.table = tmp_path / "out" / "table.json"
    sweep.stored = lambda: json.loads(sweep.table.read_text("utf-8"))
    return sweep


def hours(results):
    return {(each["row"], each["seed"]): each.get("hours") for each in results}


@pytest.mark.parametrize(
    ("before", "now", "row", "seed"),
    [
        ("rows.ramp", "rows.fixed", "ramp", 0),
        ("[0, 3]", "[0, 4]", "ramp", 3),
        ('[rows."Diff-AE only"]\nloop.distillation_weight = 0.0\n', "", "Diff-AE only", 0),
    ],
    ids=["renamed", "a seed less", "removed"],
)
@pytest.mark.parametrize("more", [[], ["--table-only"]], ids=["train", "table-only"])
def test_a_row_or_seed_that_the_file_lacks_stops_the_call(
    call, file_text, before, now, row, seed, more
):
    """It was dropped from the tables without a word once the next run was done."""
    assert call()[0] == 0
    stored, trained = call.table.read_bytes(), len(call.calls)
    words = f"table.json has the row '{row}' with seed {seed}, which the sweep file lacks, .* Add"
    with pytest.raises(ValueError, match=words):
        call(file_text.replace(before, now), *more)
    assert call.table.read_bytes() == stored and len(call.calls) == trained


@pytest.mark.parametrize("more", [[], ["--table-only"]], ids=["train", "table-only"])
@pytest.mark.parametrize(
    ("before", "now", "fact"),
    [
        ("ramp_fraction = 0.5", "ramp_fraction = 0.25", "other settings .loop.ramp_fraction was"),
        ("steps = 20", "steps = 30", "planned for 20 steps, and the sweep asks for 30"),
    ],
)
def test_other_settings_stop_the_call(call, file_text, before, now, fact, more):
    """Under the name of a row and a seed, its old numbers went into a table of the new settings."""
    call()
    stored, trained = call.table.read_bytes(), len(call.calls)
    with pytest.raises(OutputTaken, match=f"ramp.seed_0 holds a run .*{fact}"):
        call(file_text.replace(before, now), *more)
    assert call.table.read_bytes() == stored and len(call.calls) == trained


def test_a_run_whose_folder_was_deleted_is_trained_anew(call, file_text):
    call()
    for folder in call.table.parent.glob("*/seed_*"):
        shutil.rmtree(folder)
    text = file_text.replace("steps = 20", "steps = 30")
    with pytest.raises(ValueError, match="seed 0 of other settings, and its run is gone. Put back"):
        call(text, "--table-only")
    code, _ = call(text, fails={("ramp", 3): OSError("no space")})
    assert code == 1
    assert hours(call.stored()) == {
        ("ramp", 0): 5,
        ("ramp", 3): None,  # its old number was of another length
        ("Diff-AE only", 0): 6,
        ("Diff-AE only", 3): 7,
    }


def test_a_table_is_not_published_as_one_of_other_data(call, file_text, tmp_path):
    (tmp_path / "photos").mkdir()
    text = file_text.replace('"heads"', json.dumps(str(tmp_path / "photos")))
    call(text)
    with pytest.raises(
        ValueError, match="results on photos, and the sweep asks for birds. Put the"
    ):
        call(text.replace("photos", "birds"), "--table-only")
    assert call(text, "--table-only")[0] == 0


def test_a_run_that_is_refused_leaves_the_tables_with_its_reason(call):
    """Such as one of other images: its numbers are not of what the sweep asks for."""
    call()
    refusal = OutputTaken("The images are not those.", "Put them back")
    assert call(fails={("ramp", 3): refusal})[0] == 1
    assert hours(call.stored())["ramp", 3] is None
    assert "The images are not those" in call.table.with_name("table.md").read_text("utf-8")
    assert call()[0] == 0 and hours(call.stored())["ramp", 3] is not None


def test_failures_stop_no_table(call, file_text):
    """Neither those of rows that were taken out, nor those of other settings."""
    gone = "[rows.gone]\nloop.distillation_weight = 2.0\n"
    call(file_text + gone, fails={("gone", 0): OSError("no"), ("gone", 3): OSError("no")})
    assert call(file_text, "--table-only")[0] == 0
    assert call(file_text)[0] == 0
    assert len(call.stored()) == 4


def test_a_failure_does_not_replace_the_result_of_the_same_settings(call):
    """A folder that cannot be read for a moment, or too little memory for the scores."""
    call()
    code, logged = call(fails={("ramp", 3): OSError("no space")})
    assert code == 1
    assert (
        "ramp (seed 3). Results of an earlier call stay in the tables for ramp (seed 3)."
        in logged[-1]
    )
    places = [("ramp", 0), ("ramp", 3), ("Diff-AE only", 0), ("Diff-AE only", 3)]
    assert hours(call.stored()) == dict(zip(places, [5, 2, 6, 7], strict=True))
    assert "Failed" not in call.table.with_name("table.md").read_text("utf-8")


def test_a_failure_without_an_earlier_result_says_nothing_of_one(call):
    code, logged = call(fails={("ramp", 3): OSError("no space")})
    assert code == 1 and logged[-1].startswith("Failed: ramp (seed 3). Fix the reason")


def test_what_is_known_of_the_runs_to_come_stays_meanwhile(tmp_path, file_text, write):
    """Also where table.json is of a version that wrote down no commands."""
    sweep = load_sweep(write(tmp_path / "s.toml", file_text))
    earlier = [
        {"row": row, "seed": seed, "hours": 1}
        for row in ("ramp", "Diff-AE only")
        for seed in (0, 3)
    ]
    now = [{"row": "ramp", "seed": 0, "hours": 2}, {"row": "ramp", "seed": 3, "error": "no"}]
    output = tmp_path / "out"
    assert hours(joined(sweep, output, now, earlier)) == {
        ("ramp", 0): 2,
        ("ramp", 3): 1,
        ("Diff-AE only", 0): 1,
        ("Diff-AE only", 3): 1,
    }
    assert hours(joined(sweep, output, now, [])) == {("ramp", 0): 2, ("ramp", 3): None}


def test_the_command_of_a_row_names_no_folder_of_this_machine(tmp_path, file_text, write):
    (tmp_path / "photos").mkdir()
    text = file_text.replace('"heads"', json.dumps(str(tmp_path / "photos")))
    sweep = load_sweep(write(tmp_path / "s.toml", text))
    command = sweep.run_settings("ramp", 3, tmp_path / "out").command
    assert command.startswith("cldis train --data photos --output DIR --preset tiny32 --steps 20")
    assert "--seed 3" in command and str(tmp_path) not in command


def test_a_run_whose_settings_cannot_be_read_stops_no_other(call, file_text):
    call()
    (call.table.parent / "ramp" / "seed_3" / "config.json").write_text("{")
    assert call(file_text, "--table-only")[0] == 0
    code, logged = call()
    assert code == 1
    assert "Results of an earlier call stay in the tables for ramp (seed 3)" in logged[-1]
    assert list(hours(call.stored()).values()) == [5, 2, 6, 7]


def test_finished_runs_whose_objective_compares_images_may_get_other_parts(call, file_text):
    """They play no part in what is trained already, as for a run by itself (`as_trained`)."""
    text = file_text.replace("steps = 20", 'steps = 20\nobjective.name = "dip_i"\nbatch_size = 16')
    call(text)
    parted = text.replace("batch_size = 16", "batch_size = 16\naccumulation_steps = 2")
    assert call(parted)[0] == 0 and call(parted, "--table-only")[0] == 0
