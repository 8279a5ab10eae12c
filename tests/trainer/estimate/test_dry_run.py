"""The plan of a run: settings that read back, counts that agree with true networks, no traces."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.model import DiffusionAutoencoder
from trainer.__main__ import main
from trainer.assemble import assemble
from trainer.config.settings import TrainConfig, load_preset, preset_names, tomllib
from trainer.estimate import costs
from trainer.estimate import dry_run as plan
from trainer.estimate.costs import Costs, StepTime, count_costs, kept_bytes, time_step
from trainer.estimate.dry_run import about, describe_plan, make_plan, rounded, to_toml, write_plan
from trainer.report.samples import draw_samples
from trainer.run import RunSettings
from trainer.training.batches import to_tensor
from trainer.training.feedback import UsageMeter, build_feedback
from trainer.training.objectives import build_objective
from trainer.training.step import TrainingLosses
from trainer.training.trainer import Trainer

TINY = load_preset("tiny32")
SOME = Costs({"encoder": 100, "U-Net": 700, "co-pilot": 200, "objective": 50}, 64, 1000, 6e6, 1.5e6)
PLENTY = 2**40  # bytes


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    for index in range(5):
        Image.new("RGB", (40, 32), (index * 40, 0, 0)).save(path / f"{index}.png")
    (path / "notes.txt").write_text("no image")
    return path


@pytest.fixture
def quick(monkeypatch):
    """Plans with given counts and times, so that the words about them can be pinned."""
    monkeypatch.setattr(plan, "count_costs", lambda config: SOME)
    monkeypatch.setattr(plan, "time_step", lambda *arguments: StepTime(2.0, 8))


def settings(folder: Path, config: TrainConfig = TINY) -> RunSettings:
    return RunSettings(str(folder), folder.parent / "run", config)


def comments(text: str) -> str:
    """The facts of a plan on one line."""
    lines = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    return " ".join(lines)


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", preset_names())
def test_settings_come_back_from_toml(name):
    config = load_preset(name)
    assert TrainConfig.from_dict(tomllib.loads(to_toml(config.to_dict()))) == config


def test_unusual_settings_come_back_from_toml():
    config = TINY.with_values(
        {
            "objective": {"name": "joint", "discrete_sizes": [10, 3], "weight": 2.5e-7},
            "learning_rate": 1e-5,
            "flip": True,
        }
    )
    text = to_toml(config.to_dict())
    assert "discrete_sizes = [10, 3]" in text and "learning_rate = 1e-05" in text
    assert TrainConfig.from_dict(tomllib.loads(text)) == config


def test_toml_of_nested_tables():
    values = {"b": {"d": {"e": 1.0}, "c": "word"}, "a": True, "none": None}
    assert to_toml(values) == 'a = true\n\n[b]\nc = "word"\n\n[b.d]\ne = 1.0\n'


# -- the whole plan ----------------------------------------------------------------------------


def test_command_prints_a_preset_and_leaves_no_trace(folder, capsys, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a plan decodes no images")

    monkeypatch.setattr("trainer.data.folder.decode_image", refuse)
    monkeypatch.setattr(costs, "TRIAL_SECONDS", 0.1)
    output = folder.parent / "run"
    command = ["--data", str(folder), "--output", str(output), "--preset", "tiny32", "--dry-run"]
    assert (
        main([*command, "--steps", "40", "--set", "loop.capacity_course=fixed", "--device", "cpu"])
        == 0
    )
    text = capsys.readouterr().out
    expected = TINY.with_values({"loop.capacity_course": "fixed", "steps": 40})
    assert TrainConfig.from_dict(tomllib.loads(text)) == expected
    facts = comments(text)
    assert "5 image files in images, brought to 32 x 32 px" in facts
    assert "40 steps of 16 images, 640 in all; each image 128.0 times" in facts
    assert "0.7 million parameters: encoder 0.1, U-Net 0.4, co-pilot 0.2" in facts
    assert "an estimate" in facts
    assert not output.exists()


def test_times_in_words(folder, quick):
    config = replace(TINY, steps=100, loop=replace(TINY.loop, copilot_warmup_steps=20))
    facts = comments(describe_plan(settings(folder, config)))
    # the co-pilot is a quarter of a step: 20 * 0.5 s + 80 * 2 s = 170 s; 6e6 operations * 1,600
    # images; a pass is a third of 1.5 s / 16, of 4.5e6 operations; the usage takes 9 of them for
    # each of 4 images in every 20th of 80 steps, 4.5 s; in the end 264 passes invert, 1,280 rank
    # and 6,400 measure eight axes, 405 evaluate the five images, 536 draw: 277.7 s
    assert (
        "about 7.5 minutes, an estimate: about 2.9 minutes of training, at 2 s per step (8 "
        "images per second, 9.8e+09 operations in all), and up to about 4.6 minutes at its end "
        "for directions, quality and report" in facts
    )
    assert "finder" not in facts
    found = replace(config, directions="learned")
    facts_of_finder = comments(describe_plan(settings(folder, found)))
    assert "(without the search of the finder learned)" in facts_of_finder
    # auto inverts 12 images and draws 64 for each axis with 8 steps, for three finders: 12,612
    # passes, 394 s more
    compared = comments(describe_plan(settings(folder, replace(config, directions="auto"))))
    assert "up to about 11 minutes at its end" in compared and "finder" not in compared
    drawn = comments(describe_plan(replace(settings(folder, config), data="heads")))
    assert "and up to about 15 minutes at its end" in drawn  # 251 images, 20,331 passes more
    assert "timed just now on 8 random images per step instead of 16" in facts
    assert "the co-pilot alone is trained in the first 20 steps" in facts
    compiled = comments(describe_plan(settings(folder, replace(config, use_compile=True))))
    assert "timed without torch.compile" in compiled and "timed without" not in facts


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "about 0 seconds"),
        (7.46, "about 7.5 seconds"),
        (119.0, "about 120 seconds"),
        (121.0, "about 2 minutes"),
        (1.44 * 3600, "about 86 minutes"),
        (3.456 * 3600, "about 3.5 hours"),
        (47 * 3600, "about 47 hours"),
        (29.6 * 86400, "about 30 days"),
        (31 * 86400, "more than a month"),
        (1e12, "more than a month"),
    ],
)
def test_times_have_two_figures(seconds, words):
    assert about(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.05214, "0.052"), (0.0002, "2.0e-04"), (9.96, "10"), (123.4, "120"), (4567.0, "4,600")],
)
def test_speeds_have_two_figures(value, words):
    assert rounded(value) == words


def test_the_end_of_a_run_of_the_copilot_alone(folder, quick):
    text = comments(describe_plan(settings(folder, TINY.with_values({"loop.copilot_only": True}))))
    assert "2.5 minutes, an estimate: about 2.5 minutes of training" in text
    assert "and next to nothing at its end, since the co-" in text
    assert "without the search" not in text and "directions, quality" not in text


def test_an_output_on_a_drive_that_is_not_there_is_a_sentence(folder, quick, monkeypatch):
    """As Z: on Windows, none of whose folders above is there."""
    wanted = settings(folder)
    gone, exists = {wanted.output, *wanted.output.parents}, Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path not in gone and exists(path))
    with pytest.raises(OSError, match=r"cannot be made: its drive is not there\. Choose another"):
        make_plan(wanted)


def test_a_run_beyond_a_month_names_the_remedy(folder, quick):
    config = replace(TINY, steps=10**9)
    facts = comments(describe_plan(settings(folder, config)))
    assert "more than a month, an estimate: more than a month of training, at 2 s per" in facts
    assert "TOO LONG FOR THIS MACHINE: choose a smaller preset or fewer steps, or train" in facts
    assert "on a GPU" in facts


def test_a_plan_states_what_was_not_tried(folder, quick):
    made = make_plan(settings(folder, replace(TINY, use_compile=True)))
    facts = comments(write_plan(replace(made, time=StepTime(2.0, 0))))
    assert "a step takes too long to be tried: rough, from the speed of the encoder" in facts
    assert "timed just now" not in facts and "torch.compile" not in facts
    facts = comments(write_plan(replace(made, is_busy=True)))
    assert "; the processor was busy in the last minute, and an idle one is quicker" in facts
    assert "was busy" not in comments(write_plan(replace(made, is_busy=False)))
    facts = comments(write_plan(replace(made, time=None)))
    assert "not timed, because not even 2 images fit into the memory" in facts


def test_a_capacity_out_of_reach_is_a_warning_in_the_plan(folder, quick):
    facts = comments(
        describe_plan(settings(folder, TINY.with_values({"loop.capacity_maximum": 500})))
    )
    assert "Warning   loop.capacity_maximum is 500 nats, and 8 latents never hold more" in facts
    assert "8 each, 64 together" in facts and "Set it to 8 to 16" in facts
    assert "Warning" not in comments(describe_plan(settings(folder)))


def test_too_little_memory_names_the_accumulation_steps_that_fit(folder, quick):
    # 1,050 numbers of 4 bytes: weights, gradients, two moments, average; 16 images
    needed = 5 * 4200 + 64 + 16 * 1000
    assert SOME.step_bytes(16) == needed
    made = make_plan(settings(folder))
    # 15 % above the estimate have to be free; half of the images need 8,000 bytes less
    free = int(1.15 * needed) + 1
    for missing, remedy in ((0, "GiB are free"), (10, "steps to 2"), (10_000, "steps to 4")):
        assert remedy in comments(write_plan(replace(made, free_memory=free - missing)))
    facts = comments(write_plan(replace(made, free_memory=1000)))
    assert "ARE FREE: choose a smaller preset, or close other programs" in facts


def test_parts_too_small_for_the_objective_are_not_named(folder, quick):
    config = TINY.with_values({"objective.name": "dip_i"})
    made = make_plan(settings(folder, config))
    for images, remedy in ((2, "set accumulation_steps to 8"), (1, "choose a smaller preset")):
        free = int(1.15 * SOME.step_bytes(images)) + 1
        assert f"ARE FREE: {remedy}" in comments(write_plan(replace(made, free_memory=free)))
    with pytest.raises(ValueError, match="compares 2 or more"):
        make_plan(settings(folder, replace(config, accumulation_steps=16)))


def test_memory_and_disk_in_words(folder, quick):
    large = Costs({"encoder": 50 * 10**6, "U-Net": 10**9}, 2**30, 2**28, 6e6, 1.5e6)
    made = replace(make_plan(settings(folder)), costs=large, program_bytes=2**29)
    facts = comments(write_plan(replace(made, free_memory=30 * 2**30, free_disk=80 * 2**30)))
    assert "1050.0 million parameters: encoder 50.0, U-Net 1000.0" in facts
    # 0.5 + 5 * 4 * 1.05e9 / 2**30 + 1 + 16 / 4
    assert "about 25 GiB of memory (RAM), an estimate: 0.50 for the program, 21 for" in facts
    assert "4.00 for the 16 images in work; 30 GiB are free" in facts
    # three states of 16 * 1.05e9 bytes, a model of 2.1e9
    assert "about 49 GiB in" in facts and "the next 47 GiB, the model 1.96 GiB" in facts
    assert "80 GiB are free" in facts
    facts = comments(write_plan(replace(made, free_disk=40 * 2**30)))
    assert "ONLY 40 GiB ARE FREE: free space, or choose another output folder" in facts


def test_held_out_images_are_counted(folder, quick, monkeypatch):
    monkeypatch.setattr("trainer.data.holdout.SMALLEST_SET", 5)
    monkeypatch.setattr("trainer.data.holdout.FEWEST", 1)
    facts = comments(describe_plan(settings(folder, replace(TINY, steps=10))))
    assert "1 of them held out of the training" in facts
    assert "160 in all; each image 40.0 times" in facts  # 10 * 16 images over 4


class Processes:
    """Stands for three processes of a launcher."""

    num_processes = 2
    is_main_process = True

    def __init__(self, cpu: bool) -> None:
        pass


def test_several_processes_share_the_batch(folder, quick, monkeypatch):
    monkeypatch.setattr(plan, "PartialState", Processes)
    config = replace(TINY, batch_size=24, accumulation_steps=3)
    facts = comments(describe_plan(settings(folder, config)))
    assert "2 processes, each on a CPU" in facts
    assert "12 images per step each, in 3 parts of 4 one after the other" in facts
    assert "not timed with several processes" in facts
    with pytest.raises(
        ValueError, match="batch_size 15 .* 2 processes with 1 accumulation step[.] .*multiple of 2"
    ):
        describe_plan(settings(folder, replace(TINY, batch_size=15)))
    monkeypatch.setattr(Processes, "is_main_process", False)
    assert describe_plan(settings(folder, config)) == ""


# -- images ----------------------------------------------------------------------------------


def test_images_are_counted_without_opening_them(folder, quick):
    archive = folder.parent / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for index in range(3):
            file.writestr(f"in/{index}.jpg", b"not even an image")
    facts = comments(describe_plan(settings(archive, replace(TINY, num_images=0))))
    assert "3 image files in images.zip, brought" in facts
    facts = comments(describe_plan(settings(folder, replace(TINY, num_images=2))))
    assert "5 image files in images, 2 of them used" in facts
    assert "each image 2,400.0 times" in facts
    assert "2 images will be learned by heart" in facts and "Give some hundreds" in facts


def test_enough_images_are_not_called_few(folder, quick):
    archive = folder.parent / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for index in range(300):
            file.writestr(f"{index}.jpg", b"not even an image")
    assert "by heart" not in comments(describe_plan(settings(archive, replace(TINY, num_images=0))))


@pytest.mark.parametrize("name", ["heads", "shapes3d-equivalent"])
def test_drawn_images_are_counted(folder, quick, name):
    run = replace(settings(folder), data=name)
    assert f"512 images drawn by {name}, 32 x 32 px" in comments(describe_plan(run))
    run = replace(run, config=replace(TINY, num_images=0))
    assert f"20,000 images drawn by {name}" in comments(describe_plan(run))


def test_stored_factors_are_not_read(folder, quick):
    path = folder.parent / "mpi3d_toy.npz"
    path.write_bytes(b"not even a file of numbers")
    facts = comments(describe_plan(settings(path, replace(TINY, num_images=0))))
    assert "all images stored in mpi3d_toy.npz" in facts and "epochs" not in facts
    assert "decoded images 3,072 bytes each" in facts  # 32 * 32 * 3


def test_unusable_data_are_refused(folder, quick):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*Give a folder"):
        describe_plan(settings(folder / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"headz[.] Did you mean 'heads'"):
        describe_plan(replace(settings(folder), data="headz"))
    with pytest.raises(ValueError, match="0[.]png is a file. Give a folder"):
        describe_plan(replace(settings(folder), output=folder / "0.png"))
    for index in range(4):
        (folder / f"{index}.png").unlink()
    with pytest.raises(ValueError, match="holds 1 image file[.]"):
        describe_plan(settings(folder))
    (folder / "4.png").rename(folder / "a.txt")
    with pytest.raises(ValueError, match=r"has 0 image files, and 2 other files \(2 .txt\)"):
        describe_plan(settings(folder))


# -- counts ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted() -> Costs:
    return count_costs(TINY)


def test_counts_agree_with_true_networks(counted):
    networks = DiffusionAutoencoder(TINY.model)
    losses = TrainingLosses(
        networks,
        build_objective(TINY.objective, 8, 2),
        build_feedback(TINY),
        NoiseSchedule(TINY.schedule),
        TINY.loop,
    )
    assert counted.num_parameters == sum(p.numel() for p in networks.parameters())
    products = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal products
        weight = module.weight
        if isinstance(module, nn.ConvTranspose2d):  # each input value meets the kernels it feeds
            products += inputs[0].numel() * weight[0].numel()
        else:
            products += output.numel() * weight[0].numel()

    for module in networks.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(count)
    real = kept_bytes(losses, TINY, 3)
    assert real == counted.fixed_bytes + 3 * counted.image_bytes
    layers = 3 * 2 * products / 3  # forward and two backward products; multiply and add; images
    assert layers < counted.operations < 1.1 * layers  # the rest is attention and code tokens


def test_half_precision_keeps_less_per_image_and_a_copy_of_the_weights(counted):
    mixed = count_costs(replace(TINY, precision="bf16"))
    assert 0.4 * counted.image_bytes < mixed.image_bytes < 0.9 * counted.image_bytes
    # the co-pilot's and the networks' layers are copied, the small parameters beside them not
    assert counted.num_parameters < mixed.fixed_bytes < 2.1 * counted.num_parameters


def test_an_objective_with_parameters_is_counted():
    config = TINY.with_values({"objective": {"name": "factor"}})
    discriminator = build_objective(config.objective, 8, 2)
    expected = sum(p.numel() for p in discriminator.parameters())
    assert count_costs(config).parameters["objective"] == expected > 0


def test_an_objective_that_compares_images_is_counted():
    values = {"name": "beta_tc", "sampling": "stratified"}
    assert count_costs(TINY.with_values({"objective": values})).operations > 0


@torch.no_grad()
def test_passes_after_the_last_step_are_those_of_an_export(monkeypatch):
    """A U-Net that paints the code's mean stands in for one in which every axis shows."""
    passes = []

    def predict(self, x_t, t, z, *more):
        passes.append(len(x_t))
        return torch.zeros_like(x_t) + z.mean(1)[:, None, None, None]

    monkeypatch.setattr(DiffusionAutoencoder, "predict", predict)
    monkeypatch.setattr("trainer.assemble.SMALLEST_EFFECT", 0.0)
    config = TINY.with_values(
        {"model.latent_dim": 2, "loop.copilot_warmup_steps": 0, "batch_size": 2}
    )
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    trainer = Trainer(config, images)
    trainer.step = 1
    evaluated = (to_tensor(images[:18]), "seen in training")
    model = assemble(trainer.average.module, config, images, ModelFacts(), evaluated)
    assert len(model.directions) == 2
    draw_samples(trainer, directions=model.directions)
    assert sum(passes) == costs.count_end_passes(config, 18)


# -- timing ------------------------------------------------------------------------------------


def test_true_steps_are_timed_on_the_whole_batch_where_they_are_quick(counted, monkeypatch):
    monkeypatch.setattr(costs, "LONGEST_STEP", 1e9)  # on a busy machine, too
    monkeypatch.setattr(costs, "TRIAL_SECONDS", 1e9)
    timed = time_step(TINY, counted, 16, "cpu", PLENTY)
    assert timed is not None and timed.num_images == 16 and timed.seconds > 0


def test_the_usage_is_not_measured_in_the_steps_that_are_timed(counted, monkeypatch):
    monkeypatch.setattr(UsageMeter, "measure", lambda *_: pytest.fail("counted, and timed too"))
    config = TINY.with_values({"feedback.usage_every_steps": 1})
    assert time_step(config, counted, 2, "cpu", PLENTY) is not None


def test_steps_that_do_not_fit_in_memory_are_not_tried(counted, monkeypatch):
    monkeypatch.setattr(costs, "LONGEST_STEP", 1e9)  # on a busy machine, too

    def tried(free: float) -> StepTime | None:
        return time_step(TINY, counted, 16, "cpu", int(free))

    assert tried(1.15 * counted.step_bytes(2) - 1) is None
    few = tried(1.15 * counted.step_bytes(3))
    assert few is not None and few.num_images in (2, 3)
    assert few.seconds > 0


def test_a_step_that_would_take_too_long_is_not_tried(counted, monkeypatch):
    """Ten million times the work, so that a busy machine or a quick one changes nothing."""
    monkeypatch.setattr(Trainer, "train_step", lambda self: pytest.fail("a step was done"))
    large = replace(counted, operations=1e7 * counted.operations)
    timed = time_step(TINY, large, 16, "cpu", PLENTY)
    assert timed is not None and timed.num_images == 0
    assert timed.seconds > 16 / 2 * costs.LONGEST_STEP


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the peak is read as Unix tells it")
@pytest.mark.parametrize("name", ["tiny32", "cpu64"])
def test_memory_estimate_is_near_the_measured_peak(name):
    program = f"""
import resource, sys
import numpy as np
from dataclasses import replace
from trainer.training.batches import to_tensor
from trainer.config import load_preset
from trainer.training.trainer import Trainer
config = load_preset({name!r})
config = replace(config, loop=replace(config.loop, copilot_warmup_steps=0))
size = config.model.image_size
images = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), dtype=np.uint8)
trainer = Trainer(config, images)
for _ in range(3):
    trainer.train_step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    root = Path(plan.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    measured = int(done.stdout.split()[-1]) * unit
    config = load_preset(name)
    program = make_plan(RunSettings("heads", Path("run"), TINY)).program_bytes
    estimated = program + count_costs(config).step_bytes(config.batch_size)
    assert 0.8 < estimated / measured < 1.2


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([0.4, 8.0, 0.8, 1.6], 0.1),  # eight images together, the fastest of three tries
        ([0.02, 8.0, 8.0, 8.0], 0.02),  # one alone was not disturbed
        ([0.6], 0.6),  # long: not tried again
    ],
)
def test_the_speed_of_the_encoder_is_that_of_its_fastest_try(counted, monkeypatch, times, seconds):
    """Beside other programs one image alone put a step at half an hour in place of two seconds."""
    left, costly = list(times), replace(counted, operations=1e9 * counted.operations)
    monkeypatch.setattr(costs, "measured_seconds", lambda work, device: left.pop(0))
    timed = time_step(TINY, costly, 2, "cpu", 2**60)
    with FlopCounterMode(display=False) as counter:
        size, model = TINY.model.image_size, DiffusionAutoencoder(TINY.model)
        model.encode_semantic(torch.zeros(1, TINY.model.in_channels, size, size))
    operations = costly.operations * TINY.batch_size
    assert timed == StepTime(pytest.approx(operations * seconds / counter.get_total_flops()), 0)
    assert not left
