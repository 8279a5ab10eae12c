"""Finding and loading model files, with a stand-in for ComfyUI's `folder_paths`."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, load, model_files
from comfyui_cldis.nodes.model_files import BUNDLED

LoadModel = NODE_CLASS_MAPPINGS["CLDIS_LoadModel"]


@pytest.fixture
def folders(tmp_path, monkeypatch, tiny_checkpoint, make_folder_paths) -> SimpleNamespace:
    """A models folder with tiny.safetensors in it, and a folder that the user registered."""
    extra = tmp_path / "extra"
    models = tmp_path / "models"
    (models / "cldis").mkdir(parents=True)
    extra.mkdir()
    shutil.copy(tiny_checkpoint, models / "cldis" / "tiny.safetensors")
    shutil.copy(tiny_checkpoint, extra / "own.safetensors")
    (models / "cldis" / "LICENSE").write_text("text")
    folder_paths = make_folder_paths(
        models_dir=str(models), folder_names_and_paths={"cldis": ([str(extra)], {".json"})}
    )
    monkeypatch.setitem(sys.modules, "folder_paths", folder_paths)
    return folder_paths


def choices() -> list[str]:
    return LoadModel.INPUT_TYPES()["required"]["model_name"][0]


def test_without_comfyui_there_is_the_bundled_model() -> None:
    assert choices() == [BUNDLED]


def test_files_of_all_folders_are_listed(folders) -> None:
    assert choices() == [BUNDLED, "own.safetensors", "tiny.safetensors"]
    # The user's own extensions stay.
    assert folders.folder_names_and_paths["cldis"][1] == {".json", ".safetensors"}


def test_a_file_is_loaded_with_its_facts(folders, tiny_model) -> None:
    (model,) = LoadModel().execute(model_name="tiny.safetensors", dtype="auto")
    assert model.label == "tiny.safetensors"
    assert model.patcher is None
    assert model.editable.directions == tiny_model.directions
    assert not model.editable.networks.training


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_short_types_stay_close_to_float32(folders, run, images, dtype) -> None:
    drawn = []
    for each in ("fp32", dtype):
        (model,) = LoadModel().execute(model_name="tiny.safetensors", dtype=each)
        assert model.editable.networks.dtype == load.DTYPES[each]
        latent = run("CLDIS_Encode", model=model, image=images, inversion_steps=2)
        drawn.append(run("CLDIS_Decode", model=model, latent=latent, steps=2))
        assert drawn[-1].dtype == torch.float32
    assert (drawn[0] - drawn[1]).abs().mean() < {"fp16": 0.01, "bf16": 0.05}[dtype]


@pytest.mark.parametrize("dtype", list(load.DTYPES))
def test_fp16_on_a_cpu_is_warned_of(folders, caplog, dtype) -> None:
    (model,) = LoadModel().execute(model_name="tiny.safetensors", dtype=dtype)
    said = "computes in fp16 on a CPU" in caplog.text
    assert said == (dtype == "fp16" and model.editable.networks.device.type == "cpu")


def test_an_ending_in_capitals(folders, tiny_checkpoint) -> None:
    shutil.copy(tiny_checkpoint, Path(folders.models_dir) / "cldis" / "LOUD.SAFETENSORS")
    assert "LOUD.SAFETENSORS" in choices()
    (model,) = LoadModel().execute(model_name="LOUD.SAFETENSORS", dtype="auto")
    assert model.label == "LOUD.SAFETENSORS"


@pytest.mark.parametrize("name", ["gone.safetensors", "../tiny.safetensors", "LICENSE", ""])
def test_a_missing_model_is_refused_before_anything_runs(folders, name) -> None:
    message = LoadModel.VALIDATE_INPUTS(name)
    assert message.startswith(f"Model '{name}' is not in ")
    assert str(Path(folders.models_dir) / "cldis") in message
    assert "there are: cldis_demo (bundled), own.safetensors, tiny.safetensors." in message
    with pytest.raises(FileNotFoundError, match="is not in"):
        LoadModel().execute(model_name=name, dtype="auto")


def test_models_that_are_there_pass(folders) -> None:
    assert LoadModel.VALIDATE_INPUTS("tiny.safetensors") is True
    assert LoadModel.VALIDATE_INPUTS(None) is True


def test_a_missing_bundled_model_is_named(folders, monkeypatch, tmp_path) -> None:
    from comfyui_cldis.checkpoint import demo

    monkeypatch.setattr(demo, "ASSETS", tmp_path)
    assert "is not part of this installation" in LoadModel.VALIDATE_INPUTS(BUNDLED)
    assert choices()[0] == BUNDLED  # listing never fails


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: b"", "tiny.safetensors is empty"),
        (lambda data: b"no model at all", "tiny.safetensors is not a safetensors file"),
        (lambda data: data[: len(data) // 2], "tiny.safetensors is damaged or incomplete"),
    ],
)
def test_a_corrupt_file_is_named(folders, damage, sentence) -> None:
    path = Path(folders.models_dir) / "cldis" / "tiny.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=sentence):
        LoadModel().execute(model_name="tiny.safetensors", dtype="auto")


def test_a_changed_file_is_read_again(folders) -> None:
    path = Path(folders.models_dir) / "cldis" / "tiny.safetensors"
    first = LoadModel.IS_CHANGED("tiny.safetensors", "auto")
    assert LoadModel.IS_CHANGED("tiny.safetensors", "auto") == first
    os.utime(path, ns=(1, 1))
    assert LoadModel.IS_CHANGED("tiny.safetensors", "auto") != first
    path.unlink()
    assert "missing" in LoadModel.IS_CHANGED("tiny.safetensors", "auto")
    assert model_files.fingerprint("never there") == "missing"


def test_a_changed_file_is_read_again_where_the_name_is_linked(folders) -> None:
    """ComfyUI gives None for a name that comes over a link."""
    models = Path(folders.models_dir) / "cldis"
    seen = [LoadModel.IS_CHANGED(None, "auto")]
    assert LoadModel.IS_CHANGED(None, "auto") == seen[0]
    os.utime(models / "tiny.safetensors", ns=(1, 1))
    seen.append(LoadModel.IS_CHANGED(None, "auto"))
    shutil.copy(models / "tiny.safetensors", models / "another.safetensors")
    seen.append(LoadModel.IS_CHANGED(None, "auto"))
    assert len(set(seen)) == 3


def test_a_model_without_sliders_says_so_when_it_is_loaded(
    make_model, tmp_path, monkeypatch, caplog, run
):
    """Its directions are there, but its images do not follow the code yet."""
    model = make_model()
    path = tmp_path / "early.safetensors"
    for explained, is_named in ((0.9, False), (0.05, True)):
        caplog.clear()
        quality = replace(model.facts.quality, explained_variance_code=explained)
        save_checkpoint(path, replace(model, facts=replace(model.facts, quality=quality)))
        monkeypatch.setattr("comfyui_cldis.nodes.load.find_model", lambda name: path)
        run("CLDIS_LoadModel", model_name="early.safetensors")
        assert ("are no sliders yet. Train longer." in caplog.text) is is_named
