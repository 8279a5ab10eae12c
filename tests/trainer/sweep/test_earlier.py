"""What becomes of an earlier call's results when the sweep's file, or a run, is another by now."""

import json
import re
from pathlib import Path

import pytest

from trainer.arguments import parse
from trainer.run import Outcome
from trainer.sweep import sweep as module
from trainer.sweep.command import run
from trainer.sweep.earlier import joined
from trainer.sweep.sweep_file import load_sweep


@pytest.fixture
def call(tmp_path, monkeypatch, file_text, write):
    """Runs the sweep of a text; each run that is not in `fails` counts its calls as its hours."""
    calls = []

    def measure(folder, model, config):
        return {"hours": len(calls)}

    monkeypatch.setattr(module, "measure", measure)

    def sweep(text=file_text, *more, fails=()):
        def trainer(settings, log):
            place = (settings.output.parent.name, settings.config.seed)
            if place in fails:
                raise OSError("no space")
            calls.append(place)
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


def test_other_settings_do_not_get_the_numbers_of_the_old_ones(call, file_text):
    """Under the name of a row and a seed, its old numbers went into a table of the new settings."""
    call()
    text = file_text.replace("ramp_fraction = 0.5", "ramp_fraction = 0.25")
    words = r"row 'ramp' with seed 0 as this command .* cldis train .*=0\.5.* Put back what was"
    with pytest.raises(ValueError, match=words):
        call(text, "--table-only")
    assert call(text, fails=[("ramp", 3)])[0] == 1
    first, second, third, fourth = call.stored()
    assert [each.get("hours") for each in (first, second, third, fourth)] == [5, None, 6, 7]
    assert second["error"] == "OSError: no space"
    assert call(text, "--table-only")[0] == 0


def test_other_data_are_other_settings(call, file_text):
    call()
    text = file_text.replace('"heads"', '"photos"')
    with pytest.raises(ValueError, match="cldis train --data heads .* train the sweep"):
        call(text, "--table-only")


def test_a_failure_does_not_replace_the_result_of_the_same_settings(call):
    """A folder that cannot be read for a moment, or too little memory for the scores."""
    call()
    code, logged = call(fails=[("ramp", 3)])
    assert code == 1
    assert "ramp (seed 3). Results of an earlier call stay in the tables." in logged[-1]
    places = [("ramp", 0), ("ramp", 3), ("Diff-AE only", 0), ("Diff-AE only", 3)]
    assert hours(call.stored()) == dict(zip(places, [5, 2, 6, 7], strict=True))
    assert "Failed" not in call.table.with_name("table.md").read_text("utf-8")


def test_a_failure_without_an_earlier_result_says_nothing_of_one(call):
    code, logged = call(fails=[("ramp", 3)])
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
    assert hours(joined(sweep, now, earlier)) == {
        ("ramp", 0): 2,
        ("ramp", 3): 1,
        ("Diff-AE only", 0): 1,
        ("Diff-AE only", 3): 1,
    }
    assert hours(joined(sweep, now, [])) == {("ramp", 0): 2, ("ramp", 3): None}


def test_the_command_of_a_row_names_no_folder_of_this_machine(tmp_path, file_text, write):
    text = re.sub('"heads"', f"'{tmp_path / 'photos'}'", file_text)
    command = load_sweep(write(tmp_path / "s.toml", text)).command("ramp", 3)
    assert command.startswith("cldis train --data photos --output DIR --preset tiny32 --steps 20")
    assert "--seed 3" in command and str(tmp_path) not in command
