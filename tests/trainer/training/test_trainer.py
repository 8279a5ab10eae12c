"""A small run end to end: resume equals never stopped, export, refusals."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.editing.pipeline import decode, encode
from trainer.__main__ import EXTRAS, main
from trainer.config.settings import TrainConfig, load_preset, preset_names, tomllib
from trainer.report.samples import write_samples
from trainer.training.batches import BatchOrder, step_generator, to_tensor
from trainer.training.checkpoint import state_files
from trainer.training.distributed import memory_format
from trainer.training.trainer import Trainer

SCREEN = replace(load_preset("tiny32"), steps=8, batch_size=4, save_every_steps=3)
SCREEN = replace(SCREEN, loop=replace(SCREEN.loop, copilot_warmup_steps=2, copilot_updates=2))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    grid = np.mgrid[0:32, 0:32].sum(0) * 2
    rng = np.random.default_rng(0)
    shift, colour = rng.integers(0, 100, (40, 1, 1, 1)), rng.integers(0, 60, (40, 1, 1, 3))
    return (grid[None, ..., None] + shift + colour).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images")
    for index, image in enumerate(images):
        Image.fromarray(image).save(path / f"{index:02d}.png")
    return path


@pytest.fixture
def quick_measuring(monkeypatch):
    """A model is measured with all that there is to it, but on few images and in few steps."""
    monkeypatch.setattr("trainer.assemble.SEEN_IMAGES", 4)
    monkeypatch.setattr("trainer.assemble.BASE_IMAGES", 2)
    monkeypatch.setattr("trainer.assemble.EVALUATION_BASES", 2)
    monkeypatch.setattr("trainer.assemble.INVERSION_STEPS", 2)
    monkeypatch.setattr("trainer.assemble.AXIS_STEPS", 2)
    monkeypatch.setattr("trainer.model_quality.DIRECTION_STEPS", 2)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [*trainer.networks.parameters(), *trainer.average.module.parameters()]


def test_resume_is_bit_identical_to_never_stopping(images, tmp_path):
    straight = Trainer(SCREEN, images)
    for _ in range(8):
        straight.train_step()
    stopped = Trainer(SCREEN, images)
    for _ in range(5):
        stopped.train_step()
    file = tmp_path / "state.pt"
    torch.save(stopped.state(), file)
    resumed = Trainer(SCREEN, images)
    resumed.load(torch.load(file, weights_only=True))
    for _ in range(3):
        resumed.train_step()
    for a, b in zip(weights(straight), weights(resumed), strict=True):
        assert torch.equal(a, b)
    assert straight.control == resumed.control


def test_the_last_two_states_are_two_that_can_be_read(images, tmp_path):
    """Also where a save falls on the last step, where a run stops at once, and after damage."""

    def run(steps: int, stop: bool = False) -> None:
        trainer = Trainer(replace(SCREEN, steps=steps, save_every_steps=3), images)
        trainer.resume(tmp_path)
        trainer.run(tmp_path, lambda record: None, should_stop=lambda: stop)

    def kept() -> list[int]:
        return [torch.load(path, weights_only=True)["step"] for path in state_files(tmp_path)]

    run(6)
    assert kept() == [6, 3]
    run(8, stop=True)
    assert kept() == [6, 3]
    (tmp_path / "state.pt").write_bytes(b"garbage")
    run(8, stop=True)  # nothing is saved, so nothing is deleted
    assert (tmp_path / "state.pt").read_bytes() == b"garbage"
    run(5)
    assert kept() == [5, 3]


def test_a_run_that_is_stopped_before_its_first_step_has_a_state(images, tmp_path):
    Trainer(SCREEN, images).run(tmp_path, lambda record: None, should_stop=lambda: True)
    assert [path.name for path in state_files(tmp_path)] == ["state.pt"]


def test_the_copilot_is_updated_more_often_on_images_of_its_own(images):
    config = replace(SCREEN, loop=replace(SCREEN.loop, copilot_updates=3))
    trainer = Trainer(config, images)
    seen = [trainer.order.indices(index) for index in range(6)]
    assert torch.equal(trainer.batch(1), to_tensor(images[seen[3]]))
    assert torch.equal(trainer.batch(1, update=2), to_tensor(images[seen[5]]))
    for _ in range(5):
        trainer.train_step()

    def num_updates(module: torch.nn.Module) -> set[float]:
        return {float(trainer.optimizer.state[p]["step"]) for p in module.parameters()}

    assert num_updates(trainer.networks.copilot) == {15.0}
    assert num_updates(trainer.networks.encoder) == {3.0}  # two of the steps are warm-up


def test_a_state_of_a_gpu_resumes_alike_on_a_cpu(images):
    """Its tensors are channels-last, and the fused AdamW does not look at strides."""
    straight = Trainer(SCREEN, images)
    for _ in range(4):
        straight.train_step()
    resumed = Trainer(SCREEN, images)
    resumed.load(channels_last(straight.state()))
    for trainer in (straight, resumed):
        trainer.train_step()
        trainer.train_step()
    for a, b in zip(weights(straight), weights(resumed), strict=True):
        assert torch.equal(a, b)


def channels_last(value):
    """A copy of a nested state with all images and kernels in the other memory format."""
    if isinstance(value, dict):
        return {key: channels_last(item) for key, item in value.items()}
    if isinstance(value, list):
        return [channels_last(item) for item in value]
    if isinstance(value, torch.Tensor) and value.ndim == 4:
        return value.clone(memory_format=torch.channels_last)
    return value.clone() if isinstance(value, torch.Tensor) else value


def test_memory_format_follows_the_device(images):
    assert memory_format("cuda:0") is torch.channels_last
    assert memory_format("cpu") is torch.contiguous_format
    trainer = Trainer(SCREEN, images)
    tensors = [*weights(trainer), trainer.batch(0), trainer._draw(0).eps]
    assert all(tensor.is_contiguous() for tensor in tensors)


def test_training_reduces_the_losses(images):
    config = replace(SCREEN, steps=60, batch_size=8)
    trainer = Trainer(config, images)
    records = [trainer.train_step() for _ in range(60)]
    first = np.mean([record.diffusion for record in records[2:8]])
    last = np.mean([record.diffusion for record in records[-6:]])
    assert last < 0.8 * first
    assert records[-1].reconstruction < records[2].reconstruction


def test_an_encoder_that_is_not_trained_has_no_kl(images):
    """The co-pilot's own would pass for it."""
    trainer = Trainer(SCREEN, images)
    records = [trainer.record(trainer.train_step()) for _ in range(3)]
    assert [each.is_warmup for each in records] == [True, True, False]
    assert all(each.encoder_kl is None and each.kl for each in records[:2])
    assert "encoder_kl" not in records[0].to_json() and "encoder_kl" not in records[0].numbers()
    assert records[2].encoder_kl is not None and records[2].encoder_kl > 0


def test_a_clip_norm_of_0_clips_nothing(images):
    more = {"loop.copilot_warmup_steps": 0, "steps": 2}
    trainers = {
        norm: Trainer(SCREEN.with_values({**more, "clip_norm": norm}), images)
        for norm in (0, 1e-3, 1e30)
    }
    norms = {trainer.train_step().gradient_norm for trainer in trainers.values()}
    assert len(norms) == 1 and norms.pop() > 1e-3
    gradients = {
        norm: torch.cat([p.grad.flatten() for p in trainer.diffusion_parameters])
        for norm, trainer in trainers.items()
    }
    assert torch.equal(gradients[0], gradients[1e30])
    assert gradients[1e-3].norm() == pytest.approx(1e-3, rel=1e-2)


def test_sample_sheet_is_drawn(images, tmp_path):
    trainer = Trainer(SCREEN, images)
    trainer.train_step()
    strips = write_samples(trainer, tmp_path)
    assert len(strips) >= 2 and all(image.width > 8 * 32 for _, image in strips)
    with Image.open(tmp_path / "samples" / "step_000001.png") as sheet:
        assert sheet.width > 8 * 32


def test_a_loss_that_is_not_finite_stops_before_the_update(images):
    trainer = Trainer(SCREEN, images)
    for _ in range(3):
        trainer.train_step()
    with torch.no_grad():
        next(iter(trainer.networks.unet.parameters())).fill_(torch.nan)
    before = [parameter.clone() for parameter in trainer.average.module.parameters()]
    with pytest.raises(FloatingPointError, match="not finite at step 3"):
        trainer.train_step()
    for a, b in zip(before, trainer.average.module.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("branch", ["copilot", "unet"])
def test_a_gradient_that_is_not_finite_stops_before_the_update(images, branch, updates):
    """Of either branch, and the losses may be finite."""
    more = {"loop.copilot_updates": updates, "loop.copilot_warmup_steps": 0}
    trainer = Trainer(SCREEN.with_values(more), images)
    parameter = next(iter(getattr(trainer.networks, branch).parameters()))
    parameter.register_hook(lambda gradient: gradient * torch.inf)
    before = [each.clone() for each in getattr(trainer.networks, branch).parameters()]
    whose = " of the co-pilot" if branch == "copilot" else ""
    with pytest.raises(FloatingPointError, match=f"A gradient{whose} is not finite at step 0"):
        trainer.train_step()
    for a, b in zip(before, getattr(trainer.networks, branch).parameters(), strict=True):
        assert torch.equal(a, b)


def test_command_trains_exports_and_logs_that_it_is_finished(
    folder, tmp_path, capfd, monkeypatch, quick_measuring
):
    monkeypatch.setattr("trainer.assemble.SMALLEST_EFFECT", 0.0)
    output = tmp_path / "run"
    command = ["--data", str(folder), "--output", str(output), "--preset", "tiny32"]
    command += ["--steps", "4", "--device", "cpu"]
    assert main(command) == 0
    assert main(command) == 0
    assert "This run is finished" in capfd.readouterr().err
    lines = [json.loads(line) for line in (output / "stats.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 4 and len(lines[-1]["kl_per_dimension"]) == 8
    model = load_checkpoint(output / "model.safetensors")
    assert model.networks.config.image_size == 32 and model.directions
    assert model.facts.training.images == 64
    assert model.facts.quality.images == "seen in training"
    assert (output / "report.html").is_file() and (output / "data_report.png").is_file()
    latent = encode(model, torch.zeros(1, 3, 32, 32), inversion_steps=2)
    assert decode(model, latent, num_steps=2).shape == (1, 3, 32, 32)
    # a run that was made longer is not finished by the model of the shorter one
    longer = [*command[:-4], "--steps", "5", "--device", "cpu"]
    assert main(longer) == 0
    model = load_checkpoint(output / "model.safetensors")
    assert model.facts.training.steps == 5
    command = longer
    # another seed in the same folder is refused, and nothing is lost
    assert main([*command, "--seed", "9"]) == 2
    assert "other settings (seed was 0)" in capfd.readouterr().err
    assert load_checkpoint(output / "model.safetensors").facts == model.facts


def test_a_run_too_short_for_sliders_still_gives_a_model(folder, tmp_path, capfd, quick_measuring):
    output = tmp_path / "run"
    command = ["--data", str(folder), "--output", str(output), "--preset", "tiny32"]
    assert main([*command, "--steps", "2", "--device", "cpu"]) == 0
    assert "no sliders" in capfd.readouterr().err
    assert load_checkpoint(output / "model.safetensors").directions == ()


@pytest.mark.parametrize(
    "stop", [KeyboardInterrupt(), ModuleNotFoundError("No module named 'numba'", name="numba")]
)
def test_interrupt_and_missing_package_are_sentences(folder, tmp_path, capfd, monkeypatch, stop):
    def raise_it(*arguments, **more):
        raise stop

    monkeypatch.setattr("trainer.run.train", raise_it)
    code = main(["--data", str(folder), "--output", str(tmp_path / "run")])
    error = capfd.readouterr().err
    assert code == (130 if isinstance(stop, KeyboardInterrupt) else 2)
    assert "Traceback" not in error
    assert "same command" in error or "numba is not installed" in error


@pytest.mark.parametrize("name", ["opencv-python-headless", "scikit-learn", None])
def test_an_error_that_says_what_to_install_is_printed(folder, tmp_path, capfd, monkeypatch, name):
    def raise_it(*arguments, **more):
        cause = ModuleNotFoundError("No module named 'cv2'", name="cv2")
        raise ModuleNotFoundError("This needs X. Install it: pip install x", name=name) from cause

    monkeypatch.setattr("trainer.run.train", raise_it)
    assert main(["--data", str(folder), "--output", str(tmp_path / "run")]) == 2
    assert capfd.readouterr().err.endswith("cldis: This needs X. Install it: pip install x\n")


def test_a_missing_module_of_our_own_is_not_blamed_on_a_package(folder, tmp_path, monkeypatch):
    def raise_it(*arguments, **more):
        raise ModuleNotFoundError("No module named 'trainer.gone'", name="trainer.gone")

    monkeypatch.setattr("trainer.run.train", raise_it)
    with pytest.raises(ModuleNotFoundError, match=r"trainer\.gone"):
        main(["--data", str(folder), "--output", str(tmp_path / "run")])


def test_a_package_that_only_the_finder_needs_is_missed_before_training(
    folder, tmp_path, monkeypatch, capfd
):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    command = ["--data", str(folder), "--output", str(tmp_path / "run"), "--preset", "tiny32"]
    assert main([*command, "--set", "directions=ica"]) == 2
    assert "the package sklearn is not installed" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_all_packages_of_the_training_extra_are_known():
    project = Path(__file__).parents[3] / "pyproject.toml"
    listed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    needed = [*listed["dependencies"], *listed["optional-dependencies"]["train"]]
    names = {re.split("[>;]", line)[0].strip().replace("pillow", "PIL") for line in needed}
    others = {"scikit-learn": "sklearn", "opencv-python-headless": "cv2"}
    names = {others.get(name, name) for name in names}
    assert len(names) > 10 and names <= {*EXTRAS["train"].split()}


def test_one_image_is_refused_before_training(images):
    with pytest.raises(ValueError, match="n at least 2"):
        Trainer(SCREEN, images[:1])


def test_damaged_config_is_named(folder, tmp_path, capfd, quick_measuring):
    output = tmp_path / "run"
    command = ["--data", str(folder), "--output", str(output), "--preset", "tiny32"]
    assert main([*command, "--steps", "2", "--device", "cpu"]) == 0
    (output / "config.json").write_text("{")
    assert main([*command, "--steps", "2", "--device", "cpu"]) == 2
    assert "config.json is damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--data", "no/such/place"], "no/such/place"),
        (["--preset", "huge"], "no preset 'huge'. Use one of"),
        (["--steps", "0"], "steps is 0. Use 1 or more"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(folder, tmp_path, capfd, change, words):
    command = ["--data", str(folder), "--output", str(tmp_path / "run"), "--preset", "tiny32"]
    assert main([*command, *change]) == 2
    error = capfd.readouterr().err
    assert words in error and "Traceback" not in error


def test_unreadable_state_is_named(folder, tmp_path, capfd):
    output = tmp_path / "run"
    output.mkdir()
    (output / "state.pt").write_bytes(b"garbage")
    command = ["--data", str(folder), "--output", str(output), "--preset", "tiny32"]
    assert main(command) == 2
    assert "cannot be read as a training state" in capfd.readouterr().err


def test_batches_cover_every_image_once_per_epoch():
    order = BatchOrder(num_images=10, batch_size=4, seed=1)
    seen = np.concatenate([order.indices(step) for step in range(5)])
    assert sorted(seen[:10]) == list(range(10)) and sorted(seen[10:]) == list(range(10))
    fresh = BatchOrder(num_images=10, batch_size=4, seed=1)
    assert np.array_equal(fresh.indices(3), order.indices(3))


def test_step_generators_differ_by_step_seed_and_stream():
    keys = [(0, 0), (0, 1), (1, 0), (1, 0, 1)]
    draws = [torch.rand(1, generator=step_generator(*key)).item() for key in keys]
    assert len(set(draws)) == 4
    assert draws[1] == torch.rand(1, generator=step_generator(0, 1)).item()


def test_to_tensor_range_and_layout():
    tensor = to_tensor(np.array([[[[0, 255, 51]]]], dtype=np.uint8))
    assert tensor.flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])
    assert tensor.shape == (1, 3, 1, 1)


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name):
    config = load_preset(name)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_unknown_key_names_the_nearest():
    with pytest.raises(ValueError, match="'learningrate'.*Did you mean 'learning_rate'"):
        TrainConfig.from_dict({"learningrate": 1.0})
    with pytest.raises(ValueError, match="'feedbak' in the loop"):
        TrainConfig.from_dict({"loop": {"feedbak": "ramp"}})
