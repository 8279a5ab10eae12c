"""What the training node does around the trainer, with stand-ins for ComfyUI and the trainer."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, run_folder, train
from comfyui_cldis.nodes.slider_list import name_slider
from comfyui_cldis.trainer_door import load_trainer

Train = NODE_CLASS_MAPPINGS["CLDIS_Train"]
errors = load_trainer("errors")
SHEET = Image.new("RGBA", (700, 300))


class Interrupted(Exception):
    """As ComfyUI's own."""


@pytest.fixture
def comfyui(tmp_path, monkeypatch, make_folder_paths) -> SimpleNamespace:
    """ComfyUI's folders, its progress bar, its device and its Cancel button."""
    seen = SimpleNamespace(
        base=tmp_path, updates=[], freed=[], device=torch.device("cpu"), is_cancelled=False
    )
    for folder in ("input/cats", "output", "models/cldis", "extra"):
        (tmp_path / folder).mkdir(parents=True)

    def throw_exception_if_processing_interrupted():
        if seen.is_cancelled:
            seen.is_cancelled = False  # as ComfyUI does
            raise Interrupted

    class ProgressBar:
        def __init__(self, total):
            pass

        def update_absolute(self, value, total, preview):
            throw_exception_if_processing_interrupted()
            seen.updates.append((value, total, preview))

    seen.folder_paths = make_folder_paths(
        base=tmp_path,
        models_dir=str(tmp_path / "models"),
        folder_names_and_paths={"cldis": ([str(tmp_path / "extra")], set())},
    )
    seen.args = SimpleNamespace(preview_method="auto")
    stand_ins = {
        "folder_paths": seen.folder_paths,
        "comfy.utils": SimpleNamespace(ProgressBar=ProgressBar),
        "comfy.model_management": SimpleNamespace(
            InterruptProcessingException=Interrupted,
            get_torch_device=lambda: seen.device,
            processing_interrupted=lambda: seen.is_cancelled,
            throw_exception_if_processing_interrupted=throw_exception_if_processing_interrupted,
            unload_all_models=lambda: seen.freed.append("models"),
            soft_empty_cache=lambda: seen.freed.append("cache"),
        ),
        "latent_preview": SimpleNamespace(
            args=seen.args,
            LatentPreviewMethod=SimpleNamespace(NoPreviews="none"),
            MAX_PREVIEW_RESOLUTION=512,
        ),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    return seen


@pytest.fixture
def trainer(comfyui, monkeypatch, tiny_checkpoint) -> SimpleNamespace:
    """A trainer that counts its steps; `on_step` may do something at each of them."""
    seen = SimpleNamespace(runs=[], on_step=lambda step: None, ends=True, modes=[], last_step=0)

    def run(settings, log, *, on_record, on_image, should_stop):
        seen.runs.append(settings)
        seen.modes.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
        config = settings.config
        step = 0
        while step < config.steps and not should_stop():
            step += 1
            seen.on_step(step)
            if step % config.log_every_steps == 0:
                on_record(SimpleNamespace(step=step))
            if step % config.sample_every_steps == 0:
                on_image("traversals", SHEET)
        seen.last_step = step
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "state.pt").write_bytes(b"saved")
        if step < config.steps or not seen.ends:
            return SimpleNamespace(finished=False, step=step, model=None)
        model = settings.output / "model.safetensors"
        if config.steps > 90:  # another model
            model.write_bytes(seen.longer)
        else:
            shutil.copy(tiny_checkpoint, model)
        log(f"100 % done: {model}")
        return SimpleNamespace(finished=True, step=step, model=model)

    weights = bytearray(tiny_checkpoint.read_bytes())
    weights[-1] ^= 1
    seen.longer = bytes(weights)
    parts = {"run": SimpleNamespace(RunSettings=SimpleNamespace, train=run)}
    monkeypatch.setattr(train, "load_trainer", lambda name: parts.get(name) or load_trainer(name))
    return seen


@pytest.fixture
def batch() -> torch.Tensor:
    """Three images of 8-bit levels, (3, 5, 4, 3)."""
    levels = torch.arange(3 * 5 * 4 * 3).reshape(3, 5, 4, 3)
    return levels / 255


def execute(**given: Any) -> Any:
    values = {"name": "cats", "folder": "", "preset": "tiny32", "steps": 8, "training_seed": 5}
    (model,) = Train().execute(**(values | given))
    return model


def test_a_batch_becomes_a_model(comfyui, trainer, batch, tiny_model, tiny_checkpoint) -> None:
    before = batch.clone()
    with torch.inference_mode():  # as ComfyUI runs its nodes
        model = execute(images=batch.clone())
    assert trainer.modes == [(False, True)]
    assert torch.equal(batch, before)
    (settings,) = trainer.runs
    run = comfyui.base / "output" / "cldis_runs" / "cats"
    assert (settings.output, settings.device, settings.preset) == (run, "cpu", "tiny32")
    assert (settings.config.steps, settings.config.seed) == (8, 5)
    assert settings.data == str(run / "cats images")
    files = sorted(Path(settings.data).iterdir())
    assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
    for index, file in enumerate(files):
        expected = np.arange(60 * index, 60 * index + 60).reshape(5, 4, 3)
        assert np.array_equal(np.asarray(Image.open(file)), expected)
    published = comfyui.base / "models" / "cldis" / "cats.safetensors"
    assert published.read_bytes() == tiny_checkpoint.read_bytes()
    assert model.label == "cats.safetensors"
    assert model.editable.directions == tiny_model.directions
    assert not (run / "images.part").exists()


def test_the_same_inputs_again_write_nothing(comfyui, trainer, batch) -> None:
    execute(images=batch)
    places = [comfyui.base / "models" / "cldis", comfyui.base / "output" / "cldis_runs" / "cats"]

    def stamps():
        # The stand-in trainer writes its own files anew; the images and the model stay.
        files = [file for place in places for file in place.rglob("*") if file.is_file()]
        kept = [file for file in files if file.name not in ("state.pt", "model.safetensors")]
        return {file: file.stat().st_mtime_ns for file in kept}

    before = stamps()
    assert len(before) == 5  # the model, three images, published.txt
    execute(images=batch)
    assert stamps() == before
    assert len(trainer.runs) == 2  # the trainer itself sees that the run is finished


@pytest.mark.parametrize(
    ("steps", "expected", "log", "sample"),
    [(0, 300, 3, 75), (4, 4, 1, 1), (1, 1, 1, 1), (5000, 5000, 10, 1250)],
)
def test_steps_and_how_often_the_run_reports(
    comfyui, trainer, batch, steps, expected, log, sample
) -> None:
    trainer.on_step = lambda step: None
    execute(images=batch, steps=steps)
    config = trainer.runs[0].config
    assert (config.steps, config.log_every_steps, config.sample_every_steps) == (
        expected,
        log,
        sample,
    )


def test_a_preset_that_samples_more_often_is_left_alone() -> None:
    config = load_trainer("config.settings").load_preset("tiny32")
    config = config.with_values({"sample_every_steps": 10, "log_every_steps": 2})
    watched = train.watched_often(config)
    assert (watched.sample_every_steps, watched.log_every_steps) == (10, 2)


def test_folders_are_looked_for_in_the_input_folder(comfyui, trainer, tmp_path) -> None:
    elsewhere = tmp_path / "extra"
    for folder, data in (
        (" cats ", str(comfyui.base / "input" / "cats")),
        (str(elsewhere), str(elsewhere)),
        ("heads", "heads"),
    ):
        execute(folder=folder, name=f"run {len(trainer.runs)}")
        assert trainer.runs[-1].data == data


def test_a_missing_folder_is_named_with_its_place(comfyui, trainer) -> None:
    place = re.escape(str(comfyui.base / "input" / "dogs"))
    sentence = f"There is no folder or file {place}. Give a .* input folder, or one of heads, "
    with pytest.raises(FileNotFoundError, match=sentence):
        execute(folder="dogs")
    assert not (comfyui.base / "output" / "cldis_runs").exists()


def test_images_come_one_way_only(comfyui, trainer, batch) -> None:
    with pytest.raises(ValueError, match="images is connected and folder is 'cats'. Give the"):
        execute(images=batch, folder="cats")
    with pytest.raises(ValueError, match="images is not connected and folder is ''. Give the"):
        execute(folder="  ")


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(1, 8, 8, 3), "images holds 1 image; training needs at least 2"),
        (torch.zeros(0, 8, 8, 3), r"The image has shape \(0, 8, 8, 3\)"),
        (torch.full((2, 8, 8, 3), torch.nan), "holds NaN or infinite values"),
    ],
)
def test_a_batch_that_cannot_be_used(comfyui, trainer, images, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        execute(images=images)
    assert not trainer.runs
    assert not (comfyui.base / "output" / "cldis_runs" / "cats" / "cats images").exists()


def test_a_preset_that_is_not_there(comfyui, trainer, batch) -> None:
    with pytest.raises(ValueError, match=r"no preset '../x.toml'. Use one of cpu64, .*tiny32"):
        execute(images=batch, preset="../x.toml")


@pytest.mark.parametrize(
    "name", ["", " ", "../cats", "a/b", "a\\b", ".cats", "cats.", "cats ", "a:b", "a\n", "a" * 65]
)
def test_names_that_cannot_be_files(comfyui, trainer, batch, name) -> None:
    sentence = f"The name '{name}' cannot name a file. Use up to 64 letters"
    assert Train.VALIDATE_INPUTS(name).startswith(sentence)
    with pytest.raises(ValueError, match="cannot name a file"):
        execute(images=batch, name=name)
    assert not list((comfyui.base / "output").iterdir())


@pytest.mark.parametrize("name", ["CON", "nul", "com1.x", "Aux .y", "lpt\u00b2"])
def test_names_of_windows_devices(comfyui, trainer, batch, name) -> None:
    sentence = f"The name '{name}' cannot name a file: Windows takes it for a device. Choose"
    assert Train.VALIDATE_INPUTS(name).startswith(sentence)
    with pytest.raises(ValueError, match="takes it for a device"):
        execute(images=batch, name=name)
    assert not list((comfyui.base / "output").iterdir())


@pytest.mark.parametrize(
    "name", ["a", "my model", "Größe_2.1-b", "a" * 64, "console", "com10", None]
)
def test_names_that_can(name) -> None:
    assert Train.VALIDATE_INPUTS(name) is True


def test_other_images_under_the_same_name(comfyui, trainer, batch) -> None:
    execute(images=batch)
    for images in (batch[:2], batch.flip(0), 1 - batch):
        with pytest.raises(ValueError, match="'cats' was started with other images than these"):
            execute(images=images)
    assert len(trainer.runs) == 1
    execute(images=batch)


def test_images_of_a_run_that_never_started_are_replaced(comfyui, trainer, batch) -> None:
    run = run_folder.open_run("cats")
    run_folder.keep_images(run, batch, has_started=False)
    (run.images / "00001.png").write_bytes(b"damaged")
    execute(images=batch[:2])
    assert len(list(run.images.iterdir())) == 2


@pytest.mark.parametrize("folder", ["models/cldis", "extra"])
def test_a_model_of_another_origin_is_never_replaced(comfyui, trainer, batch, folder) -> None:
    other = comfyui.base / folder / "cats.safetensors"
    other.write_bytes(b"somebody else's")
    with pytest.raises(FileExistsError, match=f"{other} is there already, and it is not as the"):
        execute(images=batch)
    assert other.read_bytes() == b"somebody else's"
    assert not trainer.runs


def test_a_model_that_was_changed_is_not_replaced(comfyui, trainer, batch) -> None:
    execute(images=batch)
    published = comfyui.base / "models" / "cldis" / "cats.safetensors"
    published.write_bytes(trainer.longer)  # as `cldis rename` would
    with pytest.raises(FileExistsError, match="not as the run 'cats' made it"):
        execute(images=batch)


def test_training_further_replaces_the_runs_own_model(comfyui, trainer, batch) -> None:
    published = comfyui.base / "models" / "cldis" / "cats.safetensors"
    execute(images=batch)
    execute(images=batch, steps=100)
    assert published.read_bytes() == trainer.longer
    published.unlink()
    execute(images=batch, steps=100)
    assert published.read_bytes() == trainer.longer
    assert [file.name for file in published.parent.iterdir()] == ["cats.safetensors"]


def test_a_slider_s_new_name_is_taken_over_and_nothing_else_runs_it_again(
    comfyui, trainer, batch
) -> None:
    given = {"folder": "", "preset": "tiny32", "steps": 8, "training_seed": 5, "images": None}
    before = Train.IS_CHANGED("cats", **given)
    slider = execute(images=batch).editable.directions[0].name
    assert Train.IS_CHANGED("cats", **given) == before
    name_slider("cats.safetensors", slider, "fur", ("", ""), False)
    renamed = Train.IS_CHANGED("cats", **given)
    assert renamed != before
    assert execute(images=batch).editable.directions[0].name == "fur"
    assert Train.IS_CHANGED("cats", **given) == renamed
    for name in (None, "../cats", "dogs"):
        assert Train.IS_CHANGED(name, **given) == before


def test_a_model_that_was_deleted_is_trained_again_and_that_once(comfyui, trainer, batch) -> None:
    """ComfyUI, which takes equal values for equal results, would run nothing."""
    given = {"folder": "", "preset": "tiny32", "steps": 8, "training_seed": 5, "images": None}
    published = comfyui.base / "models" / "cldis" / "cats.safetensors"
    before = Train.IS_CHANGED("cats", **given)
    execute(images=batch)
    assert Train.IS_CHANGED("cats", **given) == before
    published.unlink()
    deleted = Train.IS_CHANGED("cats", **given)
    assert deleted != before
    assert Train.IS_CHANGED("cats", **given) == deleted  # asked of twice, or the run was cancelled
    execute(images=batch)
    assert published.is_file() and Train.IS_CHANGED("cats", **given) == deleted
    published.unlink()
    assert Train.IS_CHANGED("cats", **given) not in (before, deleted)


def test_a_link_to_the_model_stays(comfyui, trainer, batch) -> None:
    published = comfyui.base / "models" / "cldis" / "cats.safetensors"
    published.symlink_to(comfyui.base / "large disk.safetensors")
    for steps in (0, 100):
        execute(images=batch, steps=steps)
        assert published.is_symlink()
    assert (comfyui.base / "large disk.safetensors").read_bytes() == trainer.longer


def test_folders_as_people_type_them(comfyui, monkeypatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(comfyui.base))
    (comfyui.base / "my pics").mkdir()
    whole, within = str(comfyui.base / "my pics"), str(comfyui.base / "input" / "cats")
    for text in (whole, f'"{whole}"', f"'{whole}'", f'{whole}"', "~/my pics", f" {whole}\n"):
        assert run_folder.find_data(text, ("heads",)) == whole
    for text in ("cats", '"cats"', " cats "):
        assert run_folder.find_data(text, ("heads",)) == within
    assert run_folder.find_data("heads", ("heads",)) == "heads"
    with pytest.raises(FileNotFoundError, match="There is no folder or file .*dogs"):
        run_folder.find_data('"dogs"', ("heads",))


def test_progress_and_previews(comfyui, trainer, batch) -> None:
    execute(images=batch)
    steps = [value for value, _, preview in comfyui.updates if preview is None]
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8]
    previews = [(value, preview) for value, _, preview in comfyui.updates if preview is not None]
    assert [value for value, _ in previews] == [2, 4, 6, 8]
    kind, image, largest = previews[0][1]
    assert (kind, image.mode, image.size, largest) == ("JPEG", "RGB", (700, 300), 512)
    assert {total for _, total, _ in comfyui.updates} == {8}


def test_no_previews_when_the_user_has_them_off(comfyui, trainer, batch) -> None:
    comfyui.args.preview_method = "none"
    execute(images=batch)
    assert len(comfyui.updates) == 8
    assert all(preview is None for _, _, preview in comfyui.updates)


@pytest.mark.parametrize("steps", [8, 1000])  # a record at each step, and one every ten
def test_cancel_saves_before_it_stops(comfyui, trainer, batch, steps) -> None:
    def press_cancel(step):
        comfyui.is_cancelled = step == 3

    trainer.on_step = press_cancel
    with pytest.raises(Interrupted):
        execute(images=batch, steps=steps)
    assert trainer.last_step == 3
    assert (trainer.runs[0].output / "state.pt").is_file()
    assert not list((comfyui.base / "models" / "cldis").iterdir())
    assert not comfyui.is_cancelled  # the next run starts afresh


def test_cancel_while_the_model_is_measured(comfyui, trainer, batch) -> None:
    def press_cancel(step):
        if step == 8:
            trainer.runs[0].config.__dict__["log_every_steps"] = 9
            comfyui.is_cancelled = True

    trainer.on_step = press_cancel
    comfyui.args.preview_method = "none"
    with pytest.raises(Interrupted):
        execute(images=batch)


def test_a_run_that_stops_by_itself_is_an_error(comfyui, trainer, batch) -> None:
    trainer.ends = False
    with pytest.raises(RuntimeError, match="'cats' was stopped at step 8 of 8, and its state is"):
        execute(images=batch)


def test_a_gpu_is_cleared_before_and_after(comfyui, trainer, batch) -> None:
    comfyui.device = torch.device("cuda")
    at_start = []
    trainer.on_step = lambda step: at_start.append(list(comfyui.freed))

    class Patcher:
        def __init__(self, *given, **more):
            pass

    patcher = SimpleNamespace(ModelPatcher=Patcher)
    sys.modules["comfy.model_patcher"], before = patcher, sys.modules.get("comfy.model_patcher")
    try:
        sys.modules["comfy.model_management"].unet_offload_device = lambda: torch.device("cpu")
        execute(images=batch)
    finally:
        if before is None:
            del sys.modules["comfy.model_patcher"]
    assert trainer.runs[0].device == "cuda"
    assert at_start[0] == ["models", "cache"]
    assert comfyui.freed == ["models", "cache", "cache"]


def test_other_devices_train_on_the_processor_which_is_logged(
    comfyui, trainer, batch, caplog
) -> None:
    comfyui.device = torch.device("mps")
    execute(images=batch)
    assert trainer.runs[0].device == "cpu"
    assert not comfyui.freed
    assert "The trainer knows no device 'mps'; it trains on the CPU." in caplog.text


FAILURES = [
    (
        errors.OutputTaken("cats holds another run.", "Give the settings it was started with"),
        ValueError,
        "cats holds another run. Give the settings it was started with, or choose another name.",
    ),
    (
        errors.OutputInData(Path("output"), "images"),
        ValueError,
        "so the run's own images would be trained on. Give a folder that does not hold it.",
    ),
    (
        errors.TooFewSteps(Path("cats"), 9, 8, None),
        ValueError,
        "The run 'cats' is at step 9 already, beyond the 8 asked for, and steps cannot be undone. "
        "Set steps to 9 or more, or choose another name.",
    ),
    (
        errors.NotFinite("A loss is not finite at step 3.", "The state is kept."),
        FloatingPointError,
        "A loss is not finite at step 3. Choose another name, and another training_seed or preset. "
        "The state is kept.",
    ),
    (ValueError("There are no images. Give some."), ValueError, "There are no images. Give some."),
    (torch.OutOfMemoryError("full"), RuntimeError, "Memory ran out while training with preset"),
    (MemoryError(), RuntimeError, "Memory ran out while training with preset tiny32; what"),
    (RuntimeError("mat1 and mat2"), RuntimeError, "mat1 and mat2"),
    (KeyError("step"), KeyError, "'step'"),
]


def test_data_that_need_another_package(comfyui, trainer, batch) -> None:
    def fail(step):
        try:
            raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("x.h5 needs h5py. Install it: pip install h5py") from error

    trainer.on_step = fail
    with pytest.raises(RuntimeError, match="This training needs h5py.* install h5py$"):
        execute(images=batch)


@pytest.mark.parametrize(("error", "kind", "sentence"), FAILURES)
def test_what_the_trainer_reports(comfyui, trainer, batch, error, kind, sentence) -> None:
    def fail(step):
        raise error

    trainer.on_step = fail
    with pytest.raises(kind) as caught:
        execute(images=batch)
    assert type(caught.value) is kind
    assert sentence in str(caught.value)
    assert "--" not in str(caught.value)


def test_without_comfyui_there_is_the_command(batch) -> None:
    with pytest.raises(RuntimeError, match="ComfyUI is not there. .* `cldis train`"):
        execute(images=batch)
