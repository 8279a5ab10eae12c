"""What is written comes back bit for bit, and the header says what the file holds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import comfyui_cldis.checkpoint.file as file_module
from comfyui_cldis.checkpoint import (
    CheckpointError,
    load_checkpoint,
    read_header,
    save_checkpoint,
)
from comfyui_cldis.checkpoint.file import STATISTICS
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.editing.pipeline import decode, encode


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_round_trip_is_bit_identical(tiny_model: EditableModel, tiny_checkpoint: Path) -> None:
    loaded = load_checkpoint(tiny_checkpoint)
    weights, expected = loaded.networks.state_dict(), tiny_model.networks.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    for name in STATISTICS:
        value = getattr(loaded.statistics, name)
        assert value.dtype == torch.float32
        assert torch.equal(value, getattr(tiny_model.statistics, name))
    assert loaded.networks.config == tiny_model.networks.config
    assert loaded.schedule.config == tiny_model.schedule.config
    assert loaded.directions == tiny_model.directions
    assert loaded.facts == tiny_model.facts


def test_a_loaded_model_draws_the_same_image(
    tiny_model: EditableModel, tiny_checkpoint: Path
) -> None:
    loaded = load_checkpoint(tiny_checkpoint)
    images = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    drawn = []
    for model in (tiny_model, loaded):
        latent = encode(model, images, inversion_steps=2)
        drawn.append(decode(model, latent, num_steps=2))
    assert torch.equal(*drawn)


def test_a_loaded_model_is_ready_for_inference(tiny_checkpoint: Path) -> None:
    state = torch.random.get_rng_state()
    networks = load_checkpoint(tiny_checkpoint).networks
    assert torch.equal(torch.random.get_rng_state(), state), "loading drew from the global RNG"
    assert not networks.training
    assert not any(parameter.requires_grad for parameter in networks.parameters())
    assert not any(tensor.is_meta for tensor in [*networks.parameters(), *networks.buffers()])


def test_the_file_can_be_replaced_while_its_model_is_in_use(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    networks = load_checkpoint(path).networks
    before = {key: tensor.clone() for key, tensor in networks.state_dict().items()}
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.write(b"\xff" * size)
    assert all(torch.equal(tensor, before[key]) for key, tensor in networks.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_storage(
    tiny_model: EditableModel, tiny_checkpoint: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, tiny_model, dtype=dtype)
    assert path.stat().st_size < 0.75 * tiny_checkpoint.stat().st_size
    assert read_header(path).stored_dtype == str(dtype).removeprefix("torch.")
    loaded = load_checkpoint(path)
    for key, tensor in tiny_model.networks.state_dict().items():
        assert torch.equal(loaded.networks.state_dict()[key], tensor.to(dtype).float()), key
    assert torch.equal(loaded.statistics.std, tiny_model.statistics.std)
    assert loaded.directions == tiny_model.directions


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loading_as_half_precision(tiny_checkpoint: Path, dtype: torch.dtype) -> None:
    loaded = load_checkpoint(tiny_checkpoint, dtype=dtype)
    assert {parameter.dtype for parameter in loaded.networks.parameters()} == {dtype}
    assert loaded.statistics.mean.dtype == torch.float32


def test_operations_are_handed_to_the_networks(tiny_checkpoint: Path) -> None:
    class Operations:
        class Linear(torch.nn.Linear):
            pass

        Conv2d, GroupNorm, LayerNorm = torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm
        ConvTranspose2d, Embedding = torch.nn.ConvTranspose2d, torch.nn.Embedding

    networks = load_checkpoint(tiny_checkpoint, operations=Operations).networks
    assert any(isinstance(module, Operations.Linear) for module in networks.modules())


def test_a_model_without_directions(tiny_model: EditableModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, replace(tiny_model, directions=()))
    assert load_checkpoint(path).directions == ()


def test_header(tiny_model: EditableModel, tiny_checkpoint: Path) -> None:
    header = read_header(tiny_checkpoint)
    assert header.format_version == 1
    assert header.image_size == 32
    assert header.latent_dim == tiny_model.networks.config.latent_dim
    assert header.config == tiny_model.networks.config
    assert header.schedule == tiny_model.schedule.config
    assert header.directions == tiny_model.directions
    assert header.facts == tiny_model.facts
    assert header.parameters == sum(p.numel() for p in tiny_model.networks.state_dict().values())
    assert header.stored_dtype == "float32"


def test_header_as_other_programs_read_it(tiny_checkpoint: Path) -> None:
    metadata = metadata_of(tiny_checkpoint)
    assert metadata["format"] == "cldis"
    assert metadata["format_version"] == "1"
    assert metadata["image_size"] == "32"
    assert metadata["latent_dim"] == "4"
    first, second = json.loads(metadata["directions"])
    assert first == {
        "name": "hair length",
        "min": -2.0,
        "max": 2.5,
        "negative_label": "short",
        "positive_label": "long",
        "effect": 0.25,
    }
    assert second["name"] == "yaw"
    assert json.loads(metadata["facts"])["data_card"].endswith("größer als nichts.")


def test_reading_the_header_reads_no_weights(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    class Recorded:
        def __init__(self, *given: object, **options: object) -> None:
            self.file = safe_open(*given, **options)

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def get_tensor(self, name: str) -> torch.Tensor:
            read.append(name)
            return self.file.get_tensor(name)

    monkeypatch.setattr(file_module, "safe_open", Recorded)
    read_header(tiny_checkpoint)
    assert read == ["directions.vectors"]


def test_writing_does_not_change_the_model(
    make_model: Callable[..., EditableModel], tiny_model: EditableModel, tmp_path: Path
) -> None:
    model = make_model()
    save_checkpoint(tmp_path / "model.safetensors", model, dtype=torch.float16)
    expected = tiny_model.networks.state_dict()
    for key, tensor in model.networks.state_dict().items():
        assert torch.equal(tensor, expected[key])


def test_writing_replaces_an_older_file(
    make_model: Callable[..., EditableModel], tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, make_model(seed=1))
    save_checkpoint(path, make_model(seed=2))
    assert load_checkpoint(path).facts.training.seed == 2
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_file_has_the_usual_permissions(tiny_model: EditableModel, tmp_path: Path) -> None:
    usual, path = tmp_path / "usual", tmp_path / "model.safetensors"
    usual.touch()
    save_checkpoint(path, tiny_model)
    assert path.stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("target", ["there", "not yet there", "in another folder"])
def test_a_link_stays_and_its_target_is_written(
    tiny_model: EditableModel, tmp_path: Path, target: str
) -> None:
    real = tmp_path / ("elsewhere" if target == "in another folder" else ".") / "blob"
    real.parent.mkdir(exist_ok=True)
    if target != "not yet there":
        real.write_bytes(b"the older file")
    links = tmp_path / "links"
    links.mkdir()
    (links / "inner.safetensors").symlink_to(os.path.relpath(real, links))
    (links / "model.safetensors").symlink_to("inner.safetensors")
    save_checkpoint(links / "model.safetensors", tiny_model)
    assert all(each.is_symlink() for each in links.iterdir()) and not real.is_symlink()
    assert load_checkpoint(real).directions == tiny_model.directions
    assert sorted(os.listdir(links)) == ["inner.safetensors", "model.safetensors"]
    assert [each for each in real.parent.iterdir() if each.suffix == ".tmp"] == []


def test_the_ending_may_be_of_any_case(tiny_model: EditableModel, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "MODEL.SAFETENSORS", tiny_model)
    assert load_checkpoint(tmp_path / "MODEL.SAFETENSORS").directions == tiny_model.directions


def broken(model: EditableModel, what: str) -> EditableModel:
    if what == "facts that are no JSON":
        return replace(model, facts=ModelFacts(other={"name of it": object()}))
    if what == "facts that are not Unicode":
        return replace(model, facts=ModelFacts(name="M\udcfcnchen"))
    if what == "facts with NaN":
        return replace(model, facts=ModelFacts(other={"figure": float("nan")}))
    if what == "a header over 1 MiB":
        return replace(model, facts=ModelFacts(data_card="x" * (1 << 20)))
    values = {"weights with NaN": float("nan"), "weights beyond float16": 1e6}
    next(model.networks.parameters()).data.view(-1)[0] = values[what]
    return model


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("facts that are no JSON", "facts cannot be written as JSON"),
        ("facts that are not Unicode", r"facts hold '\\udcfc', which is no character"),
        ("facts with NaN", "facts cannot be written as JSON"),
        ("a header over 1 MiB", "more than the 1048576 allowed"),
        ("weights with NaN", "not finite in networks."),
        ("weights beyond float16", "not finite in networks."),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_refused_model_leaves_nothing_behind(
    make_model: Callable[..., EditableModel],
    tmp_path: Path,
    what: str,
    message: str,
    is_first: bool,
) -> None:
    path = tmp_path / "model.safetensors"
    if not is_first:
        path.write_bytes(b"the older file")
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(path, broken(make_model(), what), dtype=torch.float16)
    assert os.listdir(tmp_path) == ([] if is_first else ["model.safetensors"])
    assert is_first or path.read_bytes() == b"the older file"


@pytest.mark.parametrize("step", ["save_file", "fsync", "replace"])
def test_a_failing_disk_leaves_the_older_file(
    tiny_model: EditableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the older file")

    def fail(*args: object, **kwargs: object) -> None:
        if step == "save_file":
            Path(str(args[1])).write_bytes(b"half of it")
        raise OSError("no space left")

    owner = file_module if step == "save_file" else file_module.os
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(path, tiny_model)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert path.read_bytes() == b"the older file"


def test_a_full_disk_is_a_sentence(tiny_model: EditableModel, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the older file")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="could not be written: .*Free space there"):
            save_checkpoint(path, tiny_model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert path.read_bytes() == b"the older file"


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_a_symbolic_link_leads_to_the_new_model(tiny_model: EditableModel, tmp_path: Path) -> None:
    link = tmp_path / "link.safetensors"
    (tmp_path / "model.safetensors").write_bytes(b"the older file")
    link.symlink_to("model.safetensors")
    save_checkpoint(link, tiny_model)
    assert link.is_symlink()
    assert load_checkpoint(tmp_path / "model.safetensors").name == tiny_model.name


def test_where_a_model_cannot_be_written(tiny_model: EditableModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist. Create it first"):
        save_checkpoint(tmp_path / "nowhere" / "model.safetensors", tiny_model)
    with pytest.raises(CheckpointError, match="does not end in .safetensors"):
        save_checkpoint(tmp_path / "model.pt", tiny_model)
    with pytest.raises(ValueError, match="Use one of float32, float16, bfloat16"):
        save_checkpoint(tmp_path / "model.safetensors", tiny_model, dtype=torch.int8)
    assert os.listdir(tmp_path) == []


def test_a_name_that_would_not_be_read_back_is_not_written(tiny_model, tmp_path):
    odd = tiny_model.renamed("yaw", "yaw\x1b[2J")
    with pytest.raises(CheckpointError, match=r"name 'yaw\\x1b\[2J' of a direction .* Rename it"):
        save_checkpoint(tmp_path / "odd.safetensors", odd)
    assert not list(tmp_path.iterdir())
