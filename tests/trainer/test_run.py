"""A run from outside: stopped and exported, out of memory, watched by a program."""

import errno
import json
import logging
import os
import shutil
import signal
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from comfyui_cldis import load_model
from comfyui_cldis.checkpoint import load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.checkpoint.slider_names import names_path, renamed, store_names
from comfyui_cldis.cli import main as cldis
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import ModelQuality
from trainer.__main__ import COMMANDS, announce_loading, main, stored_settings
from trainer.config.settings import flatten, load_preset
from trainer.lock import locked
from trainer.report.model_card import write_card
from trainer.run import RunSettings, open_run, train
from trainer.training.batches import to_tensor
from trainer.training.checkpoint import load_state
from trainer.training.record import TrainingRecord
from trainer.training.trainer import Trainer

CONFIG = replace(load_preset("tiny32"), steps=4, save_every_steps=2, log_every_steps=1)


@pytest.fixture(scope="module")
def folder(draw_images) -> Path:
    return draw_images(20)


@pytest.fixture(scope="module")
def finished_run(folder, tmp_path_factory) -> Path:
    """The folder of a finished run with the usual settings; no test may change it."""
    run = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        make_export_quick(patch)
        assert run_command(folder, run) == 0
    return run


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    """A copy of the finished run, to be changed; times of its files are kept."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture(autouse=True)
def quick_export(monkeypatch):
    make_export_quick(monkeypatch)


def make_export_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring the model and drawing curves are tested elsewhere; here they may cost nothing."""
    monkeypatch.setattr("trainer.assemble.find_axes", lambda *arguments, **more: ())
    monkeypatch.setattr(
        "trainer.assemble.measure_quality", lambda *arguments, **more: ModelQuality()
    )
    monkeypatch.setattr(
        "trainer.report.samples.write_samples", lambda trainer, folder, directions: []
    )
    monkeypatch.setattr("trainer.report.report.draw_curves", lambda records, config: [])


def run_command(folder: Path, output: Path, *more: str) -> int:
    command = ["--data", str(folder), "--output", str(output), "--preset", "tiny32"]
    settings = ["--set=save_every_steps=2", "--set=log_every_steps=1", "--steps", "4"]
    return main([*command, *settings, "--device", "cpu", "--no-tensorboard", *more])


def test_a_stopped_run_can_be_exported_and_resumes(folder, tmp_path, caplog):
    settings = RunSettings(str(folder), tmp_path / "run", CONFIG, use_tensorboard=False)
    logged: list[str] = []
    records: list[TrainingRecord] = []
    outcome = train(
        settings, logged.append, on_record=records.append, should_stop=lambda: len(records) == 3
    )
    assert (outcome.finished, outcome.step, outcome.model) == (False, 3, None)
    assert "Stopped and saved at step 3. Start the same run again to resume." in logged
    assert main(["export", str(tmp_path / "run"), "--device", "cpu"]) == 0
    model = tmp_path / "run" / "model.safetensors"
    training = read_header(model).facts.training
    assert training.steps == 3
    assert f"--data {folder.name} --output DIR --preset tiny32 --steps 4" in training.command
    with caplog.at_level(logging.INFO, "trainer"):
        outcome = train(settings)  # what it says goes to the logger of the package
    assert outcome.finished and outcome.model == model
    assert "Resuming at step 3 of 4." in caplog.messages
    assert read_header(model).facts.training.steps == 4


def test_a_co_pilot_that_reads_tokens_is_trained_and_shown(folder, tmp_path):
    run_command(folder, tmp_path / "run", "--set=model.copilot.conditioner=tokens")
    model = load_model(tmp_path / "run" / "model.safetensors")
    latent = model.encode(torch.rand(1, 3, 32, 32))
    moved = replace(latent, z=latent.z + 1)
    first, second = (model.preview(each, output="torch") for each in (latent, moved))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_settings_are_read_back_from_the_folder(folder, tmp_path):
    assert run_command(folder, tmp_path / "run", "--set", "loop.capacity_course=fixed") == 0
    stored = stored_settings(tmp_path / "run", "cpu")
    assert stored.config.loop.capacity_course == "fixed" and stored.config.steps == 4
    assert stored.source == str(folder.resolve())
    assert main(["report", str(tmp_path / "run")]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
def test_names_that_are_not_utf_8_lose_nothing(folder, tmp_path, capfd):
    """The data and the run's folder: trained, found finished, exported and reported."""
    odd = os.fsdecode(b"M\xfcnchen")
    data, run = tmp_path / odd, tmp_path / f"run {odd}"
    shutil.copytree(folder, data)
    command = ["--data", str(data), "--output", str(run), "--preset", "tiny32", "--steps", "2"]
    assert main([*command, "--device", "cpu"]) == 0
    assert main([*command, "--device", "cpu"]) == 0
    error = capfd.readouterr().err
    assert "whose name is not UTF-8" in error and "This run is finished" in error
    facts = read_header(run / "model.safetensors").facts
    assert facts.name == r"M\udcfcnchen 32" and r"M\udcfcnchen" in facts.training.command
    (run / "report.html").unlink()
    for name in ("export", "report", "card"):
        target = run / "model.safetensors" if name == "card" else run
        assert main([name, str(target)]) == 0
    assert r"M\udcfcnchen" in (run / "report.html").read_text(encoding="utf-8")
    assert str(stored_settings(run, "cpu").data) == str(data)  # as it is on the disk


def test_home_is_understood_before_anything_is_checked(folder, tmp_path, capfd, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "pics")
    inside = ["--data=~/pics", "--output", str(tmp_path / "pics" / "run"), "--preset", "tiny32"]
    assert main(inside) == 2
    assert "would be trained on. Choose a folder outside" in capfd.readouterr().err
    assert not (tmp_path / "pics" / "run").exists()
    quick = ["--preset=tiny32", "--steps=2", "--device=cpu", "--no-tensorboard"]
    assert main(["--data=~/pics", "--output=~/run", *quick]) == 0
    stored = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert stored["data"] == str(tmp_path / "pics") and not Path("~").exists()
    assert main(["export", "~/run", "--device", "cpu"]) == 0
    assert main([f"--data='{tmp_path / 'pics'}'", "--output", f'"{tmp_path}/run"', *quick]) == 0
    assert "This run is finished" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["export", "report"])
def test_a_folder_without_a_run_is_a_sentence(tmp_path, capfd, command):
    assert main([command, str(tmp_path)]) == 2
    error = capfd.readouterr().err
    assert str(tmp_path) in error and "Traceback" not in error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_keeps_the_last_state(folder, tmp_path, capfd, monkeypatch, error):
    step = Trainer.train_step

    def fail_at_three(self):
        if self.step == 3:
            raise error
        return step(self)

    monkeypatch.setattr(Trainer, "train_step", fail_at_three)
    assert run_command(folder, tmp_path / "run") == 2
    printed = capfd.readouterr().err
    assert (
        "Out of memory; what had been saved is kept" in printed
        and "accumulation_steps=2" in printed
    )
    state, _ = load_state(tmp_path / "run") or ({}, [])
    assert state["step"] == 2
    monkeypatch.setattr(Trainer, "train_step", step)  # and the advice works in the same folder
    assert run_command(folder, tmp_path / "run", "--set", "accumulation_steps=2") == 0


@pytest.mark.parametrize(
    ("words", "names_cpu"),
    [
        (["export", "run"], True),
        (["navigate", "a.safetensors", "--output", "b.safetensors"], True),
        (["report", "run"], False),
        (["sweep", "rows.toml", "--output", "rows"], True),  # outside of its runs
    ],
)
def test_out_of_memory_names_only_flags_that_a_command_has(capfd, monkeypatch, words, names_cpu):
    def fail(arguments):
        raise MemoryError

    monkeypatch.setitem(COMMANDS, words[0], fail)
    assert main(words) == 2
    printed = capfd.readouterr().err
    assert "Out of memory; what had been saved is kept. Close other programs" in printed
    assert "--set" not in printed and ("--device cpu" in printed) == names_cpu


def test_where_images_are_compared_more_memory_takes_another_run(
    folder, tmp_path, capfd, monkeypatch
):
    """Its parts may not change; once it has done its steps, they play no part."""
    more = ["--set=objective.name=dip_i", "--set=batch_size=16"]
    parted = [*more, "--set=accumulation_steps=2"]
    step = Trainer.train_step

    def fail_at_three(self):
        if self.step == 3:
            raise MemoryError
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", fail_at_three)
        assert run_command(folder, tmp_path / "run", *more) == 2
    assert "Start another one in a new output folder, with --set" in capfd.readouterr().err
    assert run_command(folder, tmp_path / "run", *parted) == 2
    assert "accumulation_steps" in capfd.readouterr().err
    assert run_command(folder, tmp_path / "run", *more) == 0
    assert run_command(folder, tmp_path / "run", *parted) == 0
    assert "This run is finished" in capfd.readouterr().err
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["accumulation_steps"] == 1  # as it was trained
    assert run_command(folder, tmp_path / "run", *parted, "--steps", "6") == 2
    (tmp_path / "run" / "model.safetensors").unlink()
    assert run_command(folder, tmp_path / "run", *parted) == 0
    training = read_header(tmp_path / "run" / "model.safetensors").facts.training
    assert "accumulation_steps" not in (training.command or "")


def test_other_runtime_errors_are_not_hidden(folder, tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Trainer, "train_step", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run_command(folder, tmp_path / "run")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("trian", "Did you mean 'train'?"),
        ("Exprot", "Did you mean 'export'?"),
        ("crad", "Did you mean 'card'?"),
        ("xyzzy", "Use one of train, adapt, export, "),
    ],
)
def test_a_mistyped_command_names_the_nearest(capfd, word, words):
    assert main([word, "run"]) == 2
    error = capfd.readouterr().err
    assert f"There is no command '{word}'. {words}" in error and "--data FOLDER" in error


def test_a_source_or_a_capacity_that_cannot_be_meant_is_reported(folder, tmp_path, capfd):
    assert run_command(Path("headz"), tmp_path / "run") == 2
    assert "Did you mean 'heads'? Give a folder" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
    assert run_command(folder, tmp_path / "run", "--set", "loop.capacity_maximum=500") == 0
    assert "8 latents never hold more than about 8 each" in capfd.readouterr().err
    assert "never hold more" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_train_is_a_command_too(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    assert end.value.code == 0 and "--data PATH|NAME" in capsys.readouterr().out


def stop_self(*arguments, **more):
    """What a person or a shutting-down machine does; the rest must not be reached."""
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("the signal was ignored")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_stops_and_saves_unless_it_is_ignored(folder, tmp_path, monkeypatch):
    step = Trainer.train_step

    def hang_up(self):
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGHUP)
        return step(self)

    monkeypatch.setattr(Trainer, "train_step", hang_up)
    for handler, code, saved in ((signal.SIG_DFL, 130, 2), (signal.SIG_IGN, 0, 4)):
        before = signal.signal(signal.SIGHUP, handler)
        try:
            run = tmp_path / f"run {code}"
            assert run_command(folder, run) == code
            assert signal.getsignal(signal.SIGHUP) == handler
        finally:
            signal.signal(signal.SIGHUP, before)
        state, _ = load_state(run)
        assert state["step"] == saved


def test_a_stopped_export_is_exported_again(run, capfd, monkeypatch):
    """The same run, started again, would train on."""

    def stop(*arguments, **more):
        raise KeyboardInterrupt

    for place, words in (
        ("trainer.assemble.measure_quality", "The run is saved at step 4; export it again to"),
        ("trainer.run.open_images", "while the images were read; nothing is lost. Export the run"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, stop)
            assert main(["export", str(run), "--device", "cpu"]) == 130
        error = capfd.readouterr().err
        assert words in error and "tart the same run" not in error


def test_sigterm_while_reading_images_is_a_sentence(folder, tmp_path, capfd, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("trainer.data.folder.decode_image", stop_self)
    monkeypatch.setattr("trainer.data.folder.decode_into", stop_self)  # in the main thread
    assert run_command(folder, tmp_path / "run") == 130
    error = capfd.readouterr().err
    assert "Stopped while the images were read" in error and "Start the same run again" in error
    assert "Traceback" not in error
    assert not list((tmp_path / "run").rglob("*.part"))
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_while_measuring_loses_no_step(folder, tmp_path, capfd, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("trainer.assemble.find_axes", stop_self)
        assert run_command(folder, tmp_path / "run") == 130
    error = capfd.readouterr().err
    assert "It is saved at step 4; start the same run again to measure it" in error
    assert "Traceback" not in error and not (tmp_path / "run" / "model.safetensors").exists()
    assert run_command(folder, tmp_path / "run") == 0
    assert read_header(tmp_path / "run" / "model.safetensors").facts.training.steps == 4


@pytest.mark.parametrize(
    "more", [("learning_rate=0.002",), ("loop.kl_weight=2.0", "directions=weights")]
)
def test_the_model_file_of_an_earlier_run_is_no_result_of_a_new_one(
    folder, tmp_path, capfd, monkeypatch, more
):
    """Of as many steps and the same seed, but other settings; the new run stopped in measuring."""
    run = tmp_path / "run"
    settings = [word for each in more for word in ("--set", each)]
    assert run_command(folder, run, *settings[2:]) == 0
    for state in run.glob("state*.pt"):
        state.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("trainer.assemble.encode", stop_self)
        assert run_command(folder, run, *settings) == 130
    for sentence in ("model file and report are written anew", "This run is finished"):
        capfd.readouterr()
        assert run_command(folder, run, *settings) == 0
        assert sentence in capfd.readouterr().err
    config = read_header(run / "model.safetensors").facts.training.config
    name, value = more[0].split("=")
    assert flatten(config)[name] == float(value)


def test_a_new_run_that_finds_nothing_replaces_the_directions_of_an_earlier_one(
    folder, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    dimension = CONFIG.model.latent_dim
    found = (Direction("old", (1.0, *[0.0] * (dimension - 1)), -1, 1),)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.assemble.find_axes", lambda *arguments, **more: found)
        patch.setattr("trainer.assemble.measure_directions", lambda model, *arguments: model)
        assert run_command(folder, run) == 0
    assert len(read_header(run / "model.safetensors").directions) == 1
    for state in run.glob("state*.pt"):
        state.unlink()
    assert run_command(folder, run, "--set", "learning_rate=0.002") == 0
    assert read_header(run / "model.safetensors").directions == ()


@pytest.mark.parametrize("warmup", [0, 1, 50])
def test_a_run_stays_finished_whatever_its_warm_up_and_its_intervals(
    folder, tmp_path, capfd, warmup
):
    """The first export records the warm-up that was asked for, later ones that of four steps."""
    more = ["--set", f"loop.copilot_warmup_steps={warmup}"]
    assert run_command(folder, tmp_path / "run", *more) == 0
    for interval in ("log_every_steps=2", "keep_states=3", "accumulation_steps=2"):
        capfd.readouterr()
        assert run_command(folder, tmp_path / "run", *more, "--set", interval) == 0
        assert "This run is finished" in capfd.readouterr().err


def test_a_signal_in_the_last_step_is_not_forgotten(folder, tmp_path, capfd, monkeypatch):
    step = Trainer.train_step

    def stopped_at_the_end(self):
        measured = step(self)
        if self.step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return measured

    monkeypatch.setattr(Trainer, "train_step", stopped_at_the_end)
    assert run_command(folder, tmp_path / "run") == 130
    assert "Stopped and saved at step 4." in capfd.readouterr().err
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_samples_of_the_last_step_are_drawn_once(folder, tmp_path, capfd, monkeypatch):
    drawn: list[tuple[int, bool]] = []

    def draw(trainer, folder, directions=None):
        drawn.append((trainer.step, directions is not None))
        return [("traversals", Image.new("RGB", (8, 8), "red"))]

    monkeypatch.setattr("trainer.report.samples.write_samples", draw)
    assert run_command(folder, tmp_path / "run", "--set", "sample_every_steps=2") == 0
    assert drawn == [(2, False), (4, True)]  # the last ones with the model's sliders
    assert "Traversals" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Measuring the quality on 20 images (seen in training)." in capfd.readouterr().err
    assert run_command(folder, tmp_path / "other", "--set", "sample_every_steps=3") == 0
    assert drawn[2:] == [(3, False), (4, True)]
    assert "Drawing samples for the report." in capfd.readouterr().err


def test_loading_is_announced_to_a_person_only(capfd, monkeypatch):
    announce_loading({})
    assert capfd.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    announce_loading({"torch"})
    assert capfd.readouterr().err == ""
    announce_loading({"numpy"})
    assert capfd.readouterr().err == "Loading PyTorch ...\n"


def test_a_program_can_follow_the_run(folder, tmp_path, capfd):
    assert run_command(folder, tmp_path / "run", "--events") == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line]
    events = [json.loads(line) for line in lines]
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps == [1, 2, 3, 4]


def test_the_speed_is_that_of_the_command_without_its_first_step(
    folder, tmp_path, capfd, monkeypatch
):
    """A step takes 1 s, the first of each command 50 s, and those of the first command 9 s."""
    clock, slow, step = [0.0], [True], Trainer.train_step

    def train_step(self):
        clock[0] += 50.0 if self.step in (0, 4) else 9.0 if slow[0] else 1.0
        return step(self)

    monkeypatch.setattr("trainer.training.trainer.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(Trainer, "train_step", train_step)
    assert run_command(folder, tmp_path / "run", "--events", "--set=log_every_steps=2") == 0
    slow[0] = False
    more = ["--events", "--set=log_every_steps=2", "--steps", "10"]
    capfd.readouterr()
    assert run_command(folder, tmp_path / "run", *more) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line]
    left = [event["eta_sec"] for event in events if event["event"] == "step"]
    assert left == [4.0, 2.0, 0.0]  # after steps 6, 8 and 10


@pytest.mark.parametrize("bottleneck", ["controller", "constant"])
def test_a_capacity_that_plays_no_part_is_not_shown(folder, tmp_path, capfd, bottleneck):
    assert run_command(folder, tmp_path / "run", "--set", f"loop.bottleneck={bottleneck}") == 0
    line = next(line for line in capfd.readouterr().err.splitlines() if "step 4/4" in line)
    assert ("  C " in line) == (bottleneck == "controller") and "  KL " in line


def test_images_held_out_are_not_trained_on_and_are_evaluated(folder, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("trainer.data.holdout.SMALLEST_SET", 20)
    monkeypatch.setattr("trainer.data.holdout.FEWEST", 4)
    evaluated: list[torch.Tensor] = []

    def measure(model, images, mean, seen):
        evaluated.append(images)
        return ModelQuality(images=seen, num_images=len(images))

    monkeypatch.setattr("trainer.assemble.measure_quality", measure)
    assert run_command(folder, tmp_path / "run") == 0
    said = capfd.readouterr().err
    assert "4 of them are not trained on" in said and "images will be learned by heart" in said
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "20 images will be learned by heart" in page and "No warnings." not in page
    facts = read_header(tmp_path / "run" / "model.safetensors").facts
    assert facts.quality == ModelQuality(images="not seen in training", num_images=4)
    assert "16 images from" in facts.data_card
    assert "4 more were held out of the training" in facts.data_card
    settings = stored_settings(tmp_path / "run", "cpu")
    trainer, resumed = open_run(settings, lambda text: None)
    assert resumed and len(trainer.images) == 16 and trainer.held_out is not None
    held = to_tensor(trainer.held_out[:])
    assert torch.equal(evaluated[0], held)
    trained = to_tensor(trainer.images[:])
    assert not any(torch.equal(a, b) for a in held for b in trained)
    # holding others out is another run
    assert run_command(folder, tmp_path / "run", "--set", "held_out=0") == 2
    assert "(held_out was 0" in capfd.readouterr().err


def test_other_images_under_the_same_path_are_refused(folder, tmp_path, capfd):
    images = tmp_path / "images"
    shutil.copytree(folder, images)
    assert run_command(images, tmp_path / "run") == 0
    (images / "03.png").unlink()
    assert run_command(images, tmp_path / "run") == 2
    error = capfd.readouterr().err
    assert "20 images" in error and "19 images" in error and "Restore them" in error


def test_a_refused_photo_costs_no_decoding_and_what_a_kill_left_goes(folder, tmp_path, capfd):
    images, run = tmp_path / "images", tmp_path / "run"
    shutil.copytree(folder, images)
    assert run_command(images, run) == 0
    cache = run / "cache"
    kept = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(kept) == 2
    left = cache / f".{next(iter(kept))[:36]}.0123456789ab.tmp"
    left.touch()
    Image.new("RGB", (40, 40), "blue").save(images / "more.png")
    assert run_command(images, run, "--steps", "5") == 2
    assert "not those the run was started with" in capfd.readouterr().err and not left.exists()
    (images / "more.png").unlink()
    assert run_command(images, run, "--steps", "5") == 0
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == kept


def test_a_run_goes_on_where_its_images_were_moved(folder, tmp_path, capfd):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    shutil.copytree(folder, first)
    run = tmp_path / "run"
    assert run_command(first, run) == 0
    first.rename(second)
    assert main(["export", str(run), "--device", "cpu"]) == 2
    assert f"cldis export {run} --data PATH" in capfd.readouterr().err
    assert main(["export", str(run), "--device", "cpu", "--data", str(second)]) == 0
    assert "Note: the images are not those" not in capfd.readouterr().err
    assert stored_settings(run, "cpu").source == str(second.resolve())
    second.rename(third)
    assert run_command(third, run, "--steps", "5") == 0
    assert "Resuming at step 4 of 5." in capfd.readouterr().err
    (third / "03.png").unlink()
    third.rename(first)
    assert run_command(first, run, "--steps", "6") == 2
    assert "not those the run was started with (20 images" in capfd.readouterr().err
    assert stored_settings(run, "cpu").source == str(third.resolve())


def test_a_model_measured_on_other_images_says_so(folder, tmp_path, capfd, monkeypatch):
    def measure(model, images, mean, seen):
        return ModelQuality(seen, len(images), explained_variance_code=0.5)

    monkeypatch.setattr("trainer.assemble.measure_quality", measure)
    images, run = tmp_path / "images", tmp_path / "run"
    shutil.copytree(folder, images)
    assert run_command(images, run) == 0
    assert read_header(run / "model.safetensors").facts.quality.images == "seen in training"
    Image.new("RGB", (40, 40), "blue").save(images / "more.png")
    capfd.readouterr()
    assert main(["export", str(run), "--device", "cpu"]) == 0
    which = "from another set than the run's; training may have seen some"
    assert f"Measuring the quality on 21 images ({which})." in capfd.readouterr().err
    facts = read_header(run / "model.safetensors").facts
    assert facts.quality.images == which and facts.quality.num_images == 21
    assert "21 images from images, 32 px. These are not the images of the training" in (
        facts.data_card
    )
    assert f"- measured on: 21 images {which}" in write_card(run / "model.safetensors")
    assert f"of images {which}" in unescape((run / "report.html").read_text("utf-8"))


def test_a_run_that_has_begun_keeps_to_the_images_it_could_read(folder, tmp_path, monkeypatch):
    read = Path.read_bytes

    def read_bytes(path):
        if path.name == "03.png":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_bytes)
        assert run_command(folder, tmp_path / "run") == 0
    assert run_command(folder, tmp_path / "run", "--steps", "5") == 0
    header = read_header(tmp_path / "run" / "model.safetensors")
    assert header.facts.data_card.startswith("19 images") and header.facts.training.steps == 5
    assert run_command(folder, tmp_path / "new", "--set", "steps=5") == 0
    header = read_header(tmp_path / "new" / "model.safetensors")
    assert header.facts.data_card.startswith("20 images")


def test_two_trainings_do_not_share_a_folder(folder, tmp_path, capfd):
    with locked(tmp_path / "run"):
        assert run_command(folder, tmp_path / "run") == 2
    assert "Another training uses" in capfd.readouterr().err
    assert run_command(folder, tmp_path / "run") == 0


def test_a_run_in_progress_is_not_exported_by_another_command(run, capfd):
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    capfd.readouterr()
    with locked(run):
        assert main(["export", str(run), "--device", "cpu"]) == 2
    assert f"Another training uses {run}. Wait for it or stop it" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert main(["export", str(run), "--device", "cpu"]) == 0


def test_an_export_of_a_folder_without_a_run_leaves_nothing_there(tmp_path):
    assert main(["export", str(tmp_path), "--device", "cpu"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_missing_report_is_written_the_next_time(folder, run):
    (run / "report.html").unlink()
    assert run_command(folder, run) == 0
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("steps", ["4", "5"])
def test_a_damaged_model_file_does_not_keep_the_run_from_going_on(folder, run, capfd, steps):
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    kept = json.dumps({"format": "cldis_sliders", "version": 1, "sliders": {}})
    names_path(path).write_text(kept, encoding="utf-8")
    capfd.readouterr()
    assert run_command(folder, run, "--steps", steps) == 0
    said = capfd.readouterr().err
    assert "names given to sliders are not taken over. " in said and "model.safetensors" in said
    assert read_header(path).facts.training.steps == int(steps)
    assert names_path(path).read_text("utf-8") == kept


def test_damaged_names_beside_the_model_file_are_left_to_a_person(folder, run, capfd):
    path = run / "model.safetensors"
    before = path.read_bytes()
    names_path(path).write_text("{", encoding="utf-8")
    capfd.readouterr()
    assert run_command(folder, run, "--steps", "5") == 2
    assert "model.sliders.json holds no JSON text. Repair it" in capfd.readouterr().err
    assert path.read_bytes() == before


def test_a_damaged_model_file_is_replaced_by_an_export_that_finds_nothing(folder, run):
    path = run / "model.safetensors"
    path.write_bytes(b"")
    assert run_command(folder, run, "--set", "directions=pca") == 0  # far too few images
    assert read_header(path).directions == ()


def test_other_directions_of_a_finished_run_are_found_and_written(folder, run, capfd):
    state = (run / "state.pt").read_bytes()
    assert read_header(run / "model.safetensors").facts.training.config["directions"] == "axes"
    for sentence in ("model file and report are written anew", "This run is finished"):
        capfd.readouterr()
        assert run_command(folder, run, "--set", "directions=weights") == 0
        assert sentence in capfd.readouterr().err
        facts = read_header(run / "model.safetensors").facts
        assert facts.navigation["finder"] == "weights"
        assert "directions=weights" in facts.training.command
        assert json.loads((run / "config.json").read_text())["directions"] == "weights"
        assert "&quot;directions&quot;: &quot;weights&quot;" in (run / "report.html").read_text(
            "utf-8"
        )
    assert (run / "state.pt").read_bytes() == state and not (run / "state_2.pt").exists()
    assert run_command(folder, run) == 0  # and back
    assert not read_header(run / "model.safetensors").facts.navigation


def test_a_search_that_finds_nothing_replaces_no_directions(folder, run, capfd):
    path = run / "model.safetensors"
    model = load_checkpoint(path)
    vector = (1.0, *[0.0] * (model.networks.config.latent_dim - 1))
    save_checkpoint(path, replace(model, directions=(Direction("mine", vector, -1, 1),)))
    names = ("model.safetensors", "config.json", "report.html")
    before = [(run / name).read_bytes() for name in names]
    capfd.readouterr()
    assert run_command(folder, run, "--set", "directions=pca") == 2  # far too few images
    said = capfd.readouterr().err
    assert "The finder pca found no directions" in said and "those of the finder axes" in said
    assert [(run / name).read_bytes() for name in names] == before
    assert run_command(folder, run) == 0
    assert "This run is finished" in capfd.readouterr().err


def test_a_run_of_the_copilot_alone_is_exported_and_says_why_it_has_no_sliders(
    folder, tmp_path, capfd
):
    run, alone = tmp_path / "run", ("--set", "loop.copilot_only=true")
    assert run_command(folder, run, *alone) == 0
    why = "Only the co-pilot was trained, so there are no sliders. For sliders, train a new run"
    assert why in capfd.readouterr().err
    assert why in (run / "report.html").read_text("utf-8")
    path = run / "model.safetensors"
    assert read_header(path).directions == ()
    vector = (1.0, *[0.0] * (CONFIG.model.latent_dim - 1))
    before = replace(load_checkpoint(path), directions=(Direction("old", vector, -1, 1),))
    save_checkpoint(path, before)  # as earlier versions wrote it
    (run / "report.html").unlink()
    assert run_command(folder, run, *alone) == 0
    assert "names of the file before that no slider has now, or another one: old" in (
        capfd.readouterr().err
    )


def test_names_given_to_sliders_outlive_an_export(folder, tmp_path, capfd, monkeypatch):
    """Written anew with the names in the file and beside it; other directions lose them aloud."""
    run = tmp_path / "run"
    dimension = CONFIG.model.latent_dim
    axes = [tuple(float(place == axis) for place in range(dimension)) for axis in range(3)]
    found = [Direction(f"d{axis}", axes[axis], -1, 2) for axis in range(2)]
    monkeypatch.setattr("trainer.assemble.find_axes", lambda *arguments, **more: tuple(found))
    monkeypatch.setattr("trainer.assemble.measure_directions", lambda model, *arguments: model)
    assert run_command(folder, run) == 0
    path = run / "model.safetensors"
    assert cldis(["rename", str(path), "d0", "tilt", "--reverse"]) == 0
    store_names(path, renamed(read_header(path).directions, "d1", "face", is_flipped=True))
    before = read_header(path).directions
    capfd.readouterr()
    (run / "report.html").unlink()
    assert run_command(folder, run) == 0
    assert read_header(path).directions == before
    said = capfd.readouterr().err
    assert "names given" not in said and "names of the file before" not in said
    assert run_command(folder, run, "--steps", "5") == 0  # trained further
    assert "keep the names given to them: face. Look whether" in capfd.readouterr().err
    assert [each.name for each in read_header(path).directions] == ["d0", "face"]
    found[1] = replace(found[1], vector=axes[2])
    (run / "report.html").unlink()
    assert run_command(folder, run, "--steps", "5") == 0
    assert "that no slider has now, or another one: face. Use" in capfd.readouterr().err
    assert [each.name for each in read_header(path).directions] == ["d0", "d1"]
    assert not names_path(path).exists()


def test_settings_choose_a_device_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert RunSettings("heads", tmp_path, CONFIG, device="auto").device == "cpu"
    with pytest.raises(ValueError, match="no usable CUDA device"):
        RunSettings("heads", tmp_path, CONFIG, device="cuda")


def test_settings_of_a_python_user(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = RunSettings(folder, "run", CONFIG)  # type: ignore[arg-type]
    assert (settings.data, settings.output) == (str(folder), Path("run"))
    assert train(settings).model == Path("run") / "model.safetensors"
    with pytest.raises(TypeError, match="config is a str. Give a TrainConfig"):
        RunSettings("heads", tmp_path, "tiny32")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="device is 'gpu'. Use one of auto, cpu, cuda."):
        RunSettings("heads", tmp_path, CONFIG, device="gpu")


def test_the_output_may_not_lie_in_the_data(folder, tmp_path, capfd):
    before = sorted(folder.iterdir())
    for output in (folder, folder / "run"):
        assert run_command(folder, output) == 2
        assert "Choose a folder outside of it." in capfd.readouterr().err
    assert [path for path in sorted(folder.iterdir()) if path.name != "run"] == before


def test_a_refused_command_leaves_the_run_as_it_was(folder, run, capfd):
    kept = ("config.json", "data_report.json", "model.safetensors")
    before = {name: (run / name).read_bytes() for name in kept}
    for is_finished in (True, False):
        if not is_finished:
            (run / "model.safetensors").rename(run / "aside")
        assert run_command(folder, run, "--steps", "2") == 2
        printed = capfd.readouterr().err
        assert (
            "is at step 4 already, beyond the 2 asked for, and steps cannot be undone." in printed
        )
        assert "ask for more than 4; for a shorter run, choose another output folder" in printed
        assert (f"Its model is {run / 'model.safetensors'}." in printed) == is_finished
        assert (f"cldis export {run}." in printed) != is_finished
    (run / "aside").rename(run / "model.safetensors")
    assert {name: (run / name).read_bytes() for name in kept} == before
    Image.new("RGB", (40, 40), "blue").save(folder / "more.png")
    try:
        assert run_command(folder, run, "--steps", "6") == 2
        assert "not those the run was started with" in capfd.readouterr().err
        assert {name: (run / name).read_bytes() for name in kept} == before
        assert main(["export", str(run), "--device", "cpu"]) == 0  # on the present images
        assert "measured on the present ones" in capfd.readouterr().err
        assert (run / "config.json").read_bytes() == before["config.json"]
    finally:
        (folder / "more.png").unlink()


def test_one_image_alone_is_refused_with_what_is_there(folder, tmp_path, capfd):
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(folder / "00.png", images)

    def refused(*more: str, data: Path = images) -> str:
        assert run_command(data, tmp_path / "run", *more) == 2
        return capfd.readouterr().err

    fact = f"{images} holds 1 image file. Give a folder or .zip with two or more.\n"
    assert refused().endswith(fact)
    for name in ("01.png", "02.png"):
        (images / name).write_text("no image")
    said = refused()
    assert f"{images} holds 3 image files, of which 1 can be used (" in said
    assert ".png: not an image of an accepted format" in said
    assert said.endswith(", ...). Give a folder or .zip with two or more that can.\n")
    one = ("--set", "num_images=1")
    assert "num_images is 1, which is too few" in refused(*one, data=folder)
    assert "Set it to 2 or more for heads." in refused(*one, data=Path("heads"))


def test_images_that_are_all_the_same_are_refused(tmp_path, capfd):
    for index in range(5):
        Image.new("RGB", (40, 40), "red").save(tmp_path / f"{index}.png")
    assert run_command(tmp_path, tmp_path.parent / "same") == 2
    assert "All 5 images" in capfd.readouterr().err


def test_a_disk_that_is_full_before_the_first_step_is_a_sentence(tmp_path, capfd, monkeypatch):
    def fail(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device", "run/data_report.png")

    monkeypatch.setattr("trainer.run.train", fail)
    assert run_command(tmp_path, tmp_path.parent / "full") == 2
    printed = capfd.readouterr().err
    assert "no room on the disk while run/data_report.png was written (No space left" in printed
    assert "Free space, or write to another disk" in printed and "Errno" not in printed
