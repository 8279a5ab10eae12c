"""An adaptation: what is trained and what is frozen, its codes, its states and its losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comfyui_cldis.model import AdaptedDiffAE
from tests.trainer.backbones import draw_patches, open_backbone, quick_config, write_backbone
from trainer.config.adapt import AdaptConfig
from trainer.errors import OutputTaken
from trainer.training.adapt import AdaptTrainer
from trainer.training.adapt_losses import mirrored
from trainer.training.backbone import BackboneFile, read_backbone
from trainer.training.batches import to_tensor
from trainer.training.feedback import usage_passes
from trainer.training.wide_codes import open_wide_codes, remove_other_codes

IMAGES = draw_patches(10)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> BackboneFile:
    return open_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def codes(backbone: BackboneFile, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return open_wide_codes(backbone, IMAGES, tmp_path_factory.mktemp("cache"))


def make_trainer(backbone: BackboneFile, codes: np.ndarray, **values: object) -> AdaptTrainer:
    return AdaptTrainer(quick_config(backbone, **values), backbone, codes, IMAGES)


@pytest.mark.parametrize(("decoded", "items"), [(0, 0), (1, 2), (2, 2), (4, 2)])
def test_the_usage_is_measured_on_images_that_there_is_time_for(
    backbone: BackboneFile, decoded: int, items: int
) -> None:
    more = {"adapt.diffusion_items": decoded, "batch_size": 8, "feedback.usage_every_steps": 1}
    assert usage_passes(quick_config(backbone, **more)).decoder == items * (3 + 1)


@pytest.mark.parametrize("decoded", [0, 2])
def test_resume_is_bit_identical_to_never_stopping(
    backbone: BackboneFile, codes: np.ndarray, tmp_path: Path, decoded: int
) -> None:
    more = {"adapt.diffusion_items": decoded, "feedback.usage_every_steps": 3}
    straight = make_trainer(backbone, codes, **more)
    for _ in range(8):
        straight.train_step()
    stopped = make_trainer(backbone, codes, **more)
    for _ in range(5):
        stopped.train_step()
    torch.save(stopped.state(), tmp_path / "state.pt")
    resumed = make_trainer(backbone, codes, **more)
    resumed.load(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(3):
        resumed.train_step()
    for first, second in (
        (straight.trained, resumed.trained),
        (straight.average.module, resumed.average.module),
    ):
        for name, tensor in first.state_dict().items():
            assert torch.equal(tensor, second.state_dict()[name]), name
    assert straight.control == resumed.control and straight.heard == resumed.heard
    assert bool(straight.heard.usage) == bool(decoded)


def test_the_backbone_is_frozen_and_left_out_of_the_state(
    backbone: BackboneFile, codes: np.ndarray
) -> None:
    trainer = make_trainer(backbone, codes, **{"adapt.diffusion_items": 4})
    before = {name: value.clone() for name, value in trainer.networks.state_dict().items()}
    for _ in range(8):
        trainer.train_step()
    changed = {
        name
        for name, value in trainer.networks.state_dict().items()
        if not torch.equal(value, before[name])
    }
    parameters = {name for name, _ in trainer.networks.named_parameters()}
    assert changed == {name for name in parameters if name.startswith("adapter.")}
    state = trainer.state()
    assert state["backbone"] == {"file": "tiny.safetensors", "sha256": backbone.sha256}
    assert {*state["networks"]} == {*trainer.trained.state_dict()}
    counted = sum(len(group["params"]) for group in trainer.optimizer.param_groups)
    assert counted == len([*trainer.trained.parameters()])
    assert isinstance(trainer.networks, AdaptedDiffAE)
    assert not trainer.networks.backbone.training


def test_the_parts_of_a_batch_give_the_gradient_of_the_whole(
    backbone: BackboneFile, codes: np.ndarray
) -> None:
    """Also where the images that are decoded all lie in the first part."""
    more = {"adapt.diffusion_items": 2, "loop.copilot_warmup_steps": 0, "feedback.parts": []}
    whole, parted = (
        make_trainer(backbone, codes, **{**more, "accumulation_steps": parts}) for parts in (1, 2)
    )
    first, second = whole.train_step(), parted.train_step()
    assert first.diffusion == pytest.approx(second.diffusion, rel=1e-5)
    assert first.embedding == pytest.approx(second.embedding, rel=1e-5)
    assert first.diffusion > 0
    for one, two in zip(
        whole.trained.embedding.parameters(),
        parted.trained.embedding.parameters(),
        strict=True,
    ):
        assert one.grad is not None and two.grad is not None
        assert torch.allclose(one.grad, two.grad, rtol=1e-4, atol=1e-7)


def test_the_embedding_learns_the_wide_code(backbone: BackboneFile, codes: np.ndarray) -> None:
    trainer = make_trainer(
        backbone, codes, steps=150, **{"model.hidden_dim": 64, "batch_size": 10, "warmup_steps": 5}
    )
    losses = [trainer.train_step() for _ in range(150)]
    start, end = losses[40].embedding, losses[-1].embedding
    assert start is not None and end is not None and end < 0.6 * start
    assert trainer.record(losses[-1]).embedding == round(end, 6)
    assert losses[-1].diffusion == 0 and trainer.heard.diffusion == 0


def test_statistics_normalise_the_codes_of_the_images(
    backbone: BackboneFile, codes: np.ndarray
) -> None:
    adapter = make_trainer(backbone, codes).trained
    normalised = adapter.normalise(torch.from_numpy(np.array(codes[:, 0])))
    assert torch.allclose(normalised.mean(0), torch.zeros(12), atol=1e-4)
    assert torch.allclose(normalised.std(0), torch.ones(12), atol=1e-3)


def test_statistics_are_of_no_more_codes_than_they_say(
    backbone: BackboneFile, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.adapt.STATISTICS_ROWS", 6)
    adapter = make_trainer(backbone, codes).trained
    some = torch.from_numpy(np.array(codes[[0, 2, 4, 5, 7, 9], 0])).double()
    assert torch.allclose(adapter.code_mean, some.mean(0).float(), atol=1e-6)
    assert torch.allclose(adapter.code_std, some.std(0).float(), atol=1e-6)


def test_a_run_belongs_to_its_backbone(
    backbone: BackboneFile, codes: np.ndarray, tmp_path: Path
) -> None:
    other = read_backbone(write_backbone(tmp_path / "other.safetensors", seed=1))
    with pytest.raises(ValueError, match="backbone_sha256 does not fit the model other"):
        AdaptTrainer(quick_config(backbone), other, codes, IMAGES)
    state = make_trainer(backbone, codes).state()
    config = quick_config(other)
    with pytest.raises(OutputTaken, match=r"belongs to the model file 'tiny.safetensors'"):
        AdaptTrainer(config, other, codes, IMAGES).load(state)
    with pytest.raises(ValueError, match=r"wide codes have shape \(10, 1, 12\)"):
        AdaptTrainer(replace(quick_config(backbone), flip=True), backbone, codes, IMAGES)


def test_codes_are_the_encoders_and_computed_once(
    backbone: BackboneFile, codes: np.ndarray, tmp_path: Path
) -> None:
    expected = backbone.load().encode_semantic(to_tensor(IMAGES)).mu.detach()
    assert np.allclose(codes[:, 0], expected.numpy(), atol=1e-5)
    said: list[str] = []
    both = open_wide_codes(backbone, IMAGES, tmp_path, flip=True, log=said.append)
    assert both.shape == (10, 2, 12) and np.array_equal(both[:, :1], codes)
    assert said == ["Encoding 10 images with tiny.safetensors, once."]
    again = open_wide_codes(backbone, IMAGES, tmp_path, flip=True, log=said.append)
    assert np.array_equal(both, again) and len(said) == 1
    assert not np.allclose(both[:, 0], both[:, 1], atol=1e-3)
    flip = torch.tensor([True] + 9 * [False])
    chosen = mirrored(torch.from_numpy(np.array(both)), flip)
    assert torch.equal(chosen[0], torch.from_numpy(both[0, 1].copy()))
    assert torch.equal(chosen[1], torch.from_numpy(both[1, 0].copy()))


def test_codes_of_other_images_are_removed_when_they_may_be(
    backbone: BackboneFile, tmp_path: Path
) -> None:
    open_wide_codes(backbone, IMAGES, tmp_path)
    (first,) = tmp_path.iterdir()
    in_progress = tmp_path / f"{first.stem[:-1]}.partial.npy"
    in_progress.write_bytes(b"codes of some images")
    codes = open_wide_codes(backbone, IMAGES[:9], tmp_path)
    assert len([*tmp_path.iterdir()]) == 3
    remove_other_codes(codes)
    assert not first.exists() and not in_progress.exists()
    assert len([*tmp_path.iterdir()]) == 1
    assert np.array_equal(open_wide_codes(backbone, IMAGES[:9], tmp_path), codes)


def test_a_stopped_computation_of_codes_goes_on(
    backbone: BackboneFile, codes: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.wide_codes.BATCH_PIXELS", 16**2 * 4)
    first = open_wide_codes(backbone, IMAGES, tmp_path)
    del first
    (finished,) = tmp_path.iterdir()
    unfinished = finished.with_name(f"{finished.stem}.partial.npy")
    finished.rename(unfinished)
    half = np.load(unfinished, mmap_mode="r+")
    half[4:] = np.nan
    half[:4] = 7.0  # they are taken as they are
    half.flush()
    del half
    resumed = open_wide_codes(backbone, IMAGES, tmp_path)
    assert (resumed[:4] == 7).all() and np.allclose(resumed[4:], codes[4:], atol=1e-5)
    assert [each.name for each in tmp_path.iterdir()] == [finished.name]


def test_codes_that_were_stopped_before_the_first_are_no_zeros(
    backbone: BackboneFile, codes: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new map is a file of zeros, which are finite, until all of it is marked as missing."""
    make = np.lib.format.open_memmap

    def stopped(*arguments: Any, **more: Any) -> None:
        make(*arguments, **more).flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("numpy.lib.format.open_memmap", stopped)
        with pytest.raises(KeyboardInterrupt):
            open_wide_codes(backbone, IMAGES, tmp_path)
    found = open_wide_codes(backbone, IMAGES, tmp_path)
    assert np.allclose(found, codes, atol=1e-5)
    assert len([*tmp_path.iterdir()]) == 1


def test_codes_that_are_missing_anywhere_are_computed(
    backbone: BackboneFile, codes: np.ndarray, tmp_path: Path
) -> None:
    """A machine that stops may have written any part of the file."""
    open_wide_codes(backbone, IMAGES, tmp_path)
    (finished,) = tmp_path.iterdir()
    unfinished = finished.with_name(f"{finished.stem}.partial.npy")
    finished.rename(unfinished)
    (tmp_path / f".{unfinished.name[:40]}.0a1b.tmp").write_bytes(b"half")
    holes = np.load(unfinished, mmap_mode="r+")
    holes[:] = 7.0
    holes[2], holes[5, 0, 0], holes[8, 0, 3] = np.nan, np.nan, np.inf
    holes.flush()
    del holes
    found = open_wide_codes(backbone, IMAGES, tmp_path)
    missing = [2, 5, 8]
    assert np.allclose(found[missing], codes[missing], atol=1e-5)
    assert (np.delete(found, missing, axis=0) == 7).all()


def test_settings_of_the_file_are_not_for_a_preset(backbone: BackboneFile, tmp_path: Path) -> None:
    config = quick_config(backbone)
    assert AdaptConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match=r"adapt.diffusion_items is 9 and batch_size 4"):
        quick_config(backbone, **{"adapt.diffusion_items": 9})
    with pytest.raises(ValueError, match=r"Did you mean 'adapt.diffusion_items'"):
        quick_config(backbone, **{"adapt.diffusion_item": 1})
