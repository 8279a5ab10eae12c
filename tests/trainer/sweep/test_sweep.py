"""A sweep: its order, its tables; with a stand-in for the training of a run."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import DirectionQuality, ModelFacts, ModelQuality, TrainingFacts
from comfyui_cldis.metrics import METRICS
from trainer.arguments import parse
from trainer.config.settings import load_preset
from trainer.errors import OutputTaken
from trainer.monitor.metrics_file import read_records
from trainer.report.report import headline
from trainer.run import Outcome, RunSettings
from trainer.sweep import command
from trainer.sweep import sweep as module
from trainer.sweep.columns import column_name, time_unit
from trainer.sweep.command import run
from trainer.sweep.figure import draw_results
from trainer.sweep.paired import describe_differences, paired_differences
from trainer.sweep.scores import score_keys
from trainer.sweep.sweep import publish, run_sweep
from trainer.sweep.sweep_file import CONTROLS, load_sweep
from trainer.sweep.table import read_results, table
from trainer.training.checkpoint import check_config, write_config


class StandIn:
    """Finishes each run with figures that depend on the row and the seed."""

    def __init__(self, stop_at: int | None = None):
        self.trained, self.stop_at = [], stop_at

    def __call__(self, settings, log):
        if self.stop_at == len(self.trained):
            return Outcome(False, 3, None)
        self.trained.append((settings.output.name, settings.output.parent.name, settings.config))
        settings.output.mkdir(parents=True, exist_ok=True)
        base = 1.0 if settings.config.loop.capacity_course == "fixed" else 5.0
        records = []
        for step in range(20):
            value = base + settings.config.seed + (100 if step < 18 else 0)
            record = {name: value for name in module.RUN_COLUMNS}
            # the last batch alone would make it two
            third = 0.3 if step == 18 else 0.0
            more = {"kl_per_dimension": [0.5, 0.05, 0.2, third], "seconds": 0.9 * (step + 1)}
            records.append(json.dumps({"step": step, **record, **more}))
        (settings.output / "stats.jsonl").write_text("\n".join(records) + "\n")
        return Outcome(True, 20, settings.output / "model.safetensors")


@pytest.fixture
def sweep(tmp_path, monkeypatch, file_text, write):
    class Header:
        facts = ModelFacts(quality=ModelQuality(psnr_inverted_noise_db=30.0))
        directions = (
            Direction("a", (1.0,), -1, 1, quality=DirectionQuality(monotone=1.0)),
            Direction("b", (1.0,), -1, 1, quality=DirectionQuality(monotone=0.5)),
        )

    monkeypatch.setattr("comfyui_cldis.checkpoint.read_header", lambda path: Header)
    return load_sweep(write(tmp_path / "s.toml", file_text))


def test_every_row_with_every_seed_and_the_table(sweep, tmp_path):
    stand_in = StandIn()
    results = run_sweep(sweep, tmp_path / "out", "cpu", lambda text: None, stand_in)
    assert [(name, row, config.seed) for name, row, config in stand_in.trained] == [
        ("seed_0", "ramp", 0),
        ("seed_3", "ramp", 3),
        ("seed_0", "diff_ae_only", 0),
        ("seed_3", "diff_ae_only", 3),
    ]
    assert results is not None
    assert results[0]["diffusion"] == 1.0  # the last tenth only
    assert results[0]["num_visible_monotone"] == 1
    assert results[0]["used_dimensions"] == 3 and results[0]["num_directions"] == 2
    assert results[0]["hours"] == 0.005  # 20 steps of 0.9 s
    lines = publish(sweep, tmp_path / "out", results, print).splitlines()
    assert lines[2].startswith("| row | n | diffusion |")
    # mean and sample standard deviation of 1 and 4; of 5 and 8
    assert lines[-2].startswith("| ramp | 2 | 2.5 ± 2.1 |")
    assert lines[-1].startswith("| Diff-AE only | 2 | 6.5 ± 2.1 |")
    assert "| - |" in lines[-1] and "30 ± 0" in lines[-1]
    assert lines[2].endswith("| inverted noise, dB PSNR | monotone directions | time, seconds |")
    assert lines[-1].endswith("| 18 ± 0 |")


def test_a_sweep_counts_used_dimensions_as_the_report_does(sweep, tmp_path):
    run_sweep(sweep, tmp_path / "out", "cpu", lambda text: None, StandIn())
    run = tmp_path / "out" / "ramp" / "seed_0"
    counted = module.measure(run, run / "model.safetensors", sweep.rows["ramp"])["used_dimensions"]
    facts = headline(read_records(run / "stats.jsonl"), {}, None)
    assert counted == 3 and ("Dimensions used", "3", "of 4") in facts


def test_a_stopped_run_stops_the_sweep(sweep, tmp_path):
    stand_in = StandIn(stop_at=1)
    assert run_sweep(sweep, tmp_path / "out", "cpu", lambda text: None, stand_in) is None
    assert len(stand_in.trained) == 1


@pytest.mark.parametrize("more", [[], ["--table-only"]])
def test_two_commands_do_not_share_the_folder_of_a_sweep(sweep, tmp_path, more):
    """The second one would list the run in progress as failed, and drop what it has not seen."""
    output = tmp_path / "out"
    words = ["sweep", str(tmp_path / "s.toml"), "--output", str(output), "--device", "cpu"]
    refused: list[str] = []

    class Meanwhile(StandIn):
        def __call__(self, settings, log):
            outcome = super().__call__(settings, log)
            with pytest.raises(OutputTaken, match="Another training uses") as error:
                run(parse([*words, *more]), log, StandIn())
            refused.append(str(error.value))
            return outcome

    assert run(parse(words), lambda text: None, Meanwhile()) == 0
    assert len(refused) == 4 and not list(output.rglob("error.txt"))
    assert len(read_results(output)) == 4
    assert run(parse([*words, *more]), lambda text: None, StandIn()) == 0  # it is free again


@pytest.mark.parametrize("more", [[], ["--table-only"]])
def test_several_processes_are_refused(sweep, tmp_path, monkeypatch, more):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    words = ["sweep", str(tmp_path / "s.toml"), "--output", str(tmp_path / "out"), *more]
    stand_in = StandIn()
    with pytest.raises(ValueError, match="2 processes were launched for one sweep.* Run it with"):
        run(parse(words), print, stand_in)
    assert not stand_in.trained and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("stop_at", "raises"), [(0, False), (1, False), (0, True), (1, True)])
def test_a_stopped_sweep_logs_its_command_and_what_is_done(sweep, tmp_path, stop_at, raises):
    class Interrupted(StandIn):
        def __call__(self, settings, log):
            if raises and len(self.trained) == stop_at:
                raise KeyboardInterrupt("Stopped while the images were read.")
            return super().__call__(settings, log)

    output, logged = tmp_path / "the out", []
    arguments = ["sweep", str(tmp_path / "s.toml"), "--output", str(output), "--device", "cpu"]
    assert run(parse(arguments), logged.append, Interrupted(stop_at)) == 130
    table = f"{output / 'table.md'} holds what is done. " if stop_at else ""
    assert logged[-1] == (
        f"The sweep was stopped: {stop_at} of 4 runs done. {table}To resume: cldis "
        f"sweep {tmp_path / 's.toml'} --output '{output}' --device cpu"
    )
    assert (output / "table.md").is_file() == bool(stop_at)
    assert ("Stopped while the images were read." in logged) == raises
    # again, and stopped at once: what is done stays done
    assert run(parse(arguments), logged.append, StandIn(stop_at=0)) == 130
    assert f"The sweep was stopped: {stop_at} of 4 runs done. {table}To resume" in logged[-1]


def test_headings_are_words_and_times_have_a_fitting_unit(tmp_path, file_text, write):
    text = file_text.replace('data = "heads"', 'data = "shapes3d-equivalent"\nmetrics = ["dci"]')
    sweep = load_sweep(write(tmp_path / "s.toml", text))
    names = [column_name(key) for key in sweep.columns]
    assert names[:3] == ["DCI D", "DCI C", "DCI I"]
    assert names[3] == "DCI D of the co-pilot's code"
    assert not any("_" in name for name in names)
    assert time_unit([0.0, 0.02]) == ("seconds", 3600.0)
    assert time_unit([0.0, 0.034])[0] == time_unit([1.9])[0] == "minutes"
    assert time_unit([0.1, 2.0]) == ("hours", 1.0)
    assert time_unit([])[0] == "seconds"


def test_every_score_has_a_name_of_its_own():
    keys = score_keys(tuple(METRICS))
    assert len({column_name(key) for key in keys}) == len(keys)


def test_a_capacity_that_plays_no_part_is_not_measured(sweep, tmp_path):
    settings = RunSettings("heads", tmp_path / "run", load_preset("tiny32"))
    StandIn()(settings, print)
    model = tmp_path / "run" / "model.safetensors"
    for bottleneck, capacity in (("controller", 5.0), ("constant", None)):
        config = settings.config.with_values({"loop.bottleneck": bottleneck})
        assert module.measure(tmp_path / "run", model, config)["capacity"] == capacity


def test_a_failing_run_is_listed_and_the_others_resume(sweep, tmp_path, monkeypatch):
    class Failing(StandIn):
        def __call__(self, settings, log):
            if (settings.output.parent.name, settings.config.seed) == ("ramp", 3):
                raise FloatingPointError("The loss is not finite.\nLower learning_rate.")
            return super().__call__(settings, log)

    logged, seen = [], []
    output = tmp_path / "out"
    monkeypatch.setattr(
        command, "publish", lambda *given: seen.append(len(given[2])) or publish(*given)
    )
    arguments = ["sweep", str(tmp_path / "s.toml"), "--output", str(output), "--device", "cpu"]
    assert run(parse(arguments), logged.append, Failing()) == 1
    assert seen == [1, 2, 3, 4, 4]  # the table is written after every run
    text = (output / "table.md").read_text("utf-8")
    assert "| ramp | 1 | 1 |" in text and "| Diff-AE only | 2 | 6.5 ± 2.1 |" in text
    reason = "FloatingPointError: The loss is not finite. Lower learning_rate."
    assert f"- ramp, seed 3: {reason}" in text
    assert "Failed: ramp (seed 3)." in logged[-1]
    stored = json.loads((output / "table.json").read_text("utf-8"))
    trains = "cldis train --data heads --output DIR --preset tiny32 --steps 20 --seed 3 --set "
    assert stored[1].pop("command").startswith(trains)
    assert stored[1] == {"row": "ramp", "seed": 3, "data": "heads", "error": reason}
    assert [each["seed"] for each in read_results(output)] == [0, 0, 3]
    assert "FloatingPointError" in (output / "ramp" / "seed_3" / "error.txt").read_text("utf-8")
    (output / "table.json").write_text("[{")
    with pytest.raises(ValueError, match=r"table\.json is damaged .* Delete it"):
        read_results(output)


def test_a_row_whose_folder_cannot_be_written_is_passed_over(sweep, tmp_path):
    class Writing(StandIn):
        def __call__(self, settings, log):
            settings.output.mkdir(parents=True, exist_ok=True)
            return super().__call__(settings, log)

    output = tmp_path / "out"
    output.mkdir()
    (output / "ramp").write_text("a file in its place")
    results = run_sweep(sweep, output, "cpu", lambda text: None, Writing())
    assert results is not None
    assert [(each["row"], "error" in each) for each in results] == [
        ("ramp", True),
        ("ramp", True),
        ("Diff-AE only", False),
        ("Diff-AE only", False),
    ]


def test_a_run_that_failed_and_then_did_not_has_no_error(sweep, tmp_path):
    class Failing(StandIn):
        def __call__(self, settings, log):
            raise FloatingPointError("The loss is not finite.")

    output = tmp_path / "out"
    run_sweep(sweep, output, "cpu", lambda text: None, Failing())
    assert len([*output.rglob("error.txt")]) == 4
    run_sweep(sweep, output, "cpu", lambda text: None, StandIn())
    assert not [*output.rglob("error.txt")]


@pytest.mark.parametrize(
    ("objective", "remedy"),
    [
        ("plain", "Set accumulation_steps = 2 or more in the file of the sweep"),
        ("dip_i", "Train the sweep in a new output folder, with accumulation_steps = 2 or more"),
    ],
)
def test_a_row_without_enough_memory_says_what_helps_its_objective(
    sweep, tmp_path, objective, remedy
):
    """One that compares images does not resume in smaller parts."""

    class Failing(StandIn):
        def __call__(self, settings, log):
            raise MemoryError("No room.")

    config = sweep.rows["ramp"].with_values({"objective.name": objective})
    one = replace(sweep, rows={"ramp": config}, seeds=(0,))
    results = run_sweep(one, tmp_path / "out", "cpu", lambda text: None, Failing())
    assert results is not None and f"MemoryError: No room. {remedy}" in results[0]["error"]


class Keeping(StandIn):
    """Leaves the settings and a state or the model, as a run does."""

    def __init__(self, leaves: str):
        super().__init__()
        self.leaves = leaves

    def __call__(self, settings, log):
        outcome = super().__call__(settings, log)
        values = check_config(settings.output, settings.config, settings.source)
        write_config(settings.output, values)
        (settings.output / self.leaves).touch()
        return outcome


@pytest.mark.parametrize("steps", [10, 40])
@pytest.mark.parametrize("leaves", ["state.pt", "model.safetensors"])
def test_runs_of_another_length_are_not_changed(sweep, tmp_path, file_text, write, leaves, steps):
    """Prolonged ones would share a mean with runs that had the new length from the start."""
    output = tmp_path / "out"
    first = run_sweep(sweep, output, "cpu", lambda text: None, Keeping(leaves))
    again = Keeping(leaves)
    assert run_sweep(sweep, output, "cpu", lambda text: None, again) == first
    assert len(again.trained) == 4
    text = file_text.replace("steps = 20", f"steps = {steps}").replace("[0, 3]", "[0, 3, 5]")
    other, again = load_sweep(write(tmp_path / "other.toml", text)), Keeping(leaves)
    results = run_sweep(other, output, "cpu", lambda text: None, again)
    assert results is not None
    assert [each["seed"] for each in results if "error" not in each] == [5, 5]
    assert [name for name, _, _ in again.trained] == ["seed_5", "seed_5"]
    fact = f"ramp/seed_0 holds a run that was planned for 20 steps, and the sweep asks for {steps}"
    assert fact in results[0]["error"].replace("\\", "/")
    remedy = "Delete the folder to train it anew, or choose another output folder."
    assert results[0]["error"].endswith(remedy)
    stored = json.loads((output / "ramp" / "seed_0" / "config.json").read_text("utf-8"))
    assert stored["steps"] == 20


def test_a_run_that_left_only_its_settings_is_trained(sweep, tmp_path):
    output = tmp_path / "out"
    run_sweep(sweep, output, "cpu", lambda text: None, Keeping("nothing"))
    longer = replace(sweep, rows={"ramp": replace(sweep.rows["ramp"], steps=40)})
    results = run_sweep(longer, output, "cpu", lambda text: None, StandIn())
    assert results is not None and not any("error" in each for each in results)


@pytest.mark.parametrize(("in_header", "in_records"), [(10, 20), (None, 40)])
def test_a_run_whose_length_was_changed_is_not_measured(
    sweep, tmp_path, monkeypatch, in_header, in_records
):
    """Prolonged, which the model's file says; shortened, which the records before it say."""
    config, folder = sweep.rows["ramp"], tmp_path / "run"
    StandIn()(RunSettings("heads", folder, config), print)
    model = folder / "model.safetensors"
    assert module.measure(folder, model, config)["num_directions"] == 2
    header = SimpleNamespace(
        facts=ModelFacts(training=TrainingFacts(steps=20, planned_steps=in_header)), directions=()
    )
    monkeypatch.setattr("comfyui_cldis.checkpoint.read_header", lambda path: header)
    first, *others = (folder / "stats.jsonl").read_text().splitlines()
    first = json.dumps({**json.loads(first), "planned_steps": in_records})
    (folder / "stats.jsonl").write_text("\n".join([first, *others]) + "\n")
    with pytest.raises(OutputTaken, match=r"planned for .*0 steps, and the sweep asks for 20:"):
        module.measure(folder, model, config)


def test_the_figure_has_bars_dots_and_lines():
    results = [
        {"row": "a", "seed": 0, "mig": 0.2, "gain": None},
        {"row": "a", "seed": 1, "mig": 0.4, "gain": None},
        {"row": "b", "seed": 0, "mig": 0.1, "gain": None},
        {"row": "c", "seed": 0, "error": "ValueError: no"},
        {"row": "oracle", "seed": 0, "control": True, "mig": 1.0},
    ]
    png = draw_results(results, [["mig", "gain"], ["unknown"]])
    assert png is not None and png.startswith(b"\x89PNG")
    assert draw_results(results, [["gain"]]) is draw_results([], [["mig"]]) is None


def test_names_with_signs_of_markdown_and_formulas_are_shown_as_they_are(sweep, monkeypatch):
    figures = []
    monkeypatch.setattr("trainer.sweep.figure.to_png", figures.append)
    names = ["$\\frac$ of | rest", "a\\|b"]
    results = [{"row": name, "seed": 0, "used": 0.5} for name in names]
    draw_results(results, [["used"]])
    figures[0].draw_without_rendering()  # where a formula that is none would raise
    (axes,) = figures[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    lines = table(results, ["used"], data="x", preset="y", seeds=[0]).splitlines()[-2:]
    assert lines == ["| $\\\\frac$ of \\| rest | 0.5 |", "| a\\\\\\|b | 0.5 |"]
    differences = paired_differences(results, [names[1]], ["used"])
    assert (
        describe_differences(differences).splitlines()[-1].startswith("| $\\\\frac$ of \\| rest |")
    )


def test_a_figure_that_cannot_be_drawn_stops_no_sweep(sweep, tmp_path, monkeypatch):
    def fail(figure):
        raise RuntimeError("no font")

    output, logged = tmp_path / "out", []
    words = parse(["sweep", str(tmp_path / "s.toml"), "--output", str(output), "--device", "cpu"])
    assert run(words, logged.append, StandIn()) == 0
    assert logged[-1].endswith(f"Wrote {output / 'table.md'}, table.json and table.png.")
    monkeypatch.setattr("trainer.sweep.figure.to_png", fail)
    assert run(words, logged.append, StandIn()) == 0
    said = "table.png cannot be drawn (RuntimeError: no font). table.md has the same numbers."
    assert said in logged and not (output / "table.png").exists()
    assert logged[-1].endswith(f"Wrote {output / 'table.md'} and table.json.")


@pytest.mark.parametrize(("count", "words"), [(0, ["0 in every row"]), (2, [])])
def test_a_panel_of_nothing_but_zeros_is_labelled(monkeypatch, count, words):
    figures = []
    monkeypatch.setattr("trainer.sweep.figure.to_png", figures.append)
    results = [
        {"row": "a", "seed": 0, "num_visible_monotone": 0},
        {"row": "b", "seed": 0, "num_visible_monotone": count},
    ]
    draw_results(results, [["num_visible_monotone"]])
    (axes,) = figures[0].axes
    assert [text.get_text() for text in axes.texts] == words
    assert axes.get_title(loc="left").replace("\n", " ") == "monotone directions"
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] >= 1


def test_both_codes_are_scored_where_there_are_two(tmp_path, monkeypatch, file_text, write):
    values = {"semantic": 0.5, "copilot": 0.25}
    monkeypatch.setattr(
        module, "score", lambda sweep, codes, *_: {"mig": values[codes], "active_dims": 3}
    )
    text = file_text.replace('data = "heads"', 'data = "shapes3d-equivalent"\nmetrics = ["mig"]')
    sweep = load_sweep(write(tmp_path / "s.toml", text))
    assert sweep.columns[:2] == ("mig", "copilot_mig")

    def scored(**settings):
        config = load_preset("tiny32").with_values(
            {f"loop.{name}": value for name, value in settings.items()}
        )
        return module.scores(sweep, config, tmp_path / "model.safetensors", "cpu")

    assert scored() == {"mig": 0.5, "active_dims": 3, "copilot_mig": 0.25}
    assert scored(copilot_only=True) == {"mig": 0.25, "active_dims": 3, "copilot_mig": 0.25}
    assert scored(distillation_weight=0.0) == {"mig": 0.5, "active_dims": 3}
    settings = {"objective.name": "qlae", "loop.bottleneck": "constant"}
    qlae = load_preset("tiny32").with_values(settings)
    found = module.scores(sweep, qlae, tmp_path / "model.safetensors", "cpu")
    assert found == {"mig": 0.5, "active_dims": 3}  # its file has no codebook


def test_all_runs_are_scored_on_images_unpacked_in_one_place(sweep, tmp_path, monkeypatch):
    caches = []

    def evaluate(model, data, metrics, *, cache_dir, **more):
        caches.append(cache_dir)
        return dict.fromkeys(score_keys(metrics), 0.5)

    class Loaded:
        networks = torch.nn.Identity()

    monkeypatch.setattr("comfyui_cldis.checkpoint.load_checkpoint", lambda path: Loaded)
    monkeypatch.setattr("comfyui_cldis.evaluate.evaluate_model", evaluate)

    def train(settings, log):
        outcome = stand_in(settings, log)
        outcome.model.touch()
        return outcome

    stand_in, output = StandIn(), tmp_path / "out"
    scored = replace(sweep, data="set.npz", metrics=("mig",))
    results = run_sweep(scored, output, "cpu", lambda text: None, train)
    assert [each.get("error") for each in results] == [None] * 4
    assert len(caches) > 4 and {*caches} == {output / "cache"}


def test_rows_that_share_a_folder_are_refused(tmp_path, write):
    text = 'data = "heads"\n[rows."a b"]\nsteps = 1\n[rows."A-b"]\nsteps = 2\n'
    shared = load_sweep(write(tmp_path / "s.toml", text))
    with pytest.raises(ValueError, match="share a folder"):
        run_sweep(shared, tmp_path, "cpu", lambda text: None, StandIn())


def test_scores_come_first_and_the_controls_last(tmp_path, file_text, write):
    text = file_text.replace('data = "heads"', 'data = "shapes3d-equivalent"\nmetrics = ["mig"]')
    scored = load_sweep(write(tmp_path / "s.toml", text))
    assert scored.columns[0] == "mig"
    rows = module.control_rows(scored)
    assert [row["row"] for row in rows] == [*CONTROLS] == ["oracle", "random rotation"]
    assert rows[0]["mig"] > 0.95 and rows[1]["mig"] < 0.5
    results = [{"row": "ramp", "seed": 0, "mig": 0.25}, *rows]
    lines = publish(scored, tmp_path, results, print).splitlines()
    assert lines[-3].startswith("| ramp | 1 | 0.25 |")
    assert lines[-1].startswith("| random rotation |  | 0.")


def test_a_baseline_adds_a_table_of_differences(tmp_path, file_text, write):
    text = file_text.replace(
        'data = "heads"', 'data = "heads"\nmetrics = ["mig"]\nbaseline = "ramp"'
    )
    sweep = load_sweep(write(tmp_path / "s.toml", text))
    assert sweep.baselines == ("ramp",) and sweep.scores == ("mig", "copilot_mig")
    results = [
        {"row": "ramp", "seed": 0, "mig": 0.25, "copilot_mig": 0.5},
        {"row": "ramp", "seed": 3, "mig": 0.5, "copilot_mig": 0.5},
        {"row": "Diff-AE only", "seed": 3, "mig": 0.125},
    ]
    text = publish(sweep, tmp_path, results, print)
    assert text.endswith("| Diff-AE only | MIG | -0.375 | - | 1 | 1 of 1 |\n")
    assert text == (tmp_path / "table.md").read_text("utf-8")
    assert read_results(tmp_path) == results
    alone = publish(sweep, tmp_path, results[:2], print)  # nothing to compare with yet
    assert (
        "Differences" not in alone and len(json.loads((tmp_path / "table.json").read_text())) == 2
    )


def test_the_tables_are_written_anew_without_training(tmp_path, file_text, write):
    """With failures and controls as they were, and with the baseline that the file has by now."""
    text = file_text.replace('data = "heads"', 'data = "heads"\nmetrics = ["mig"]')
    path, output = write(tmp_path / "s.toml", text), tmp_path / "out"
    results = [
        {"row": "ramp", "seed": 0, "mig": 0.25},
        {"row": "ramp", "seed": 3, "error": "ValueError: no"},
        {"row": "Diff-AE only", "seed": 0, "mig": 0.5},
        {"row": "oracle", "seed": 0, "control": True, "mig": 1.0},
    ]
    before = publish(load_sweep(path), output, results, print)
    command_line = ["sweep", str(path), "--output", str(output), "--table-only"]
    stand_in, logged = StandIn(), []
    assert run(parse(command_line), logged.append, stand_in) == 0
    assert logged == [f"{before}Wrote {output / 'table.md'}, table.json and table.png."]
    write(path, text.replace('data = "heads"', 'data = "heads"\nbaseline = "ramp"'))
    for _ in range(2):  # the differences of the first time are no results
        assert run(parse(command_line), logged.append, stand_in) == 0
        after = (output / "table.md").read_text("utf-8")
        assert after.startswith(before) and after.endswith("| +0.25 | - | 1 | 1 of 1 |\n")
        stored = json.loads((output / "table.json").read_text("utf-8"))
        assert stored[:4] == results and list(stored[4]) == ["differences"] and len(stored) == 5
    assert not stand_in.trained


def test_tables_are_not_written_anew_from_nothing(sweep, tmp_path):
    command_line = ["sweep", str(tmp_path / "s.toml"), "--output", str(tmp_path), "--table-only"]
    with pytest.raises(FileNotFoundError, match=r"no results in .*table\.json\. Train the sweep"):
        run(parse(command_line), print)
