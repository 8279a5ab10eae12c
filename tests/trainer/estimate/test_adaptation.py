"""The plan of an adaptation: counts that agree with a true export, and several processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.model import AdaptedDiffAE, Adapter
from tests.trainer.backbones import draw_patches, open_backbone, quick_config
from trainer.assemble import assemble
from trainer.estimate import adaptation
from trainer.estimate.adaptation import describe_adaptation
from trainer.estimate.costs import count_end_passes
from trainer.report.samples import draw_samples
from trainer.run import RunSettings
from trainer.training.adapt import AdaptTrainer
from trainer.training.backbone import BackboneFile
from trainer.training.batches import to_tensor
from trainer.training.wide_codes import open_wide_codes


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> BackboneFile:
    return open_backbone(tmp_path_factory.mktemp("backbone"))


class Processes:
    """Stands for the first of two processes of a launcher."""

    num_processes = 2
    is_main_process = True

    def __init__(self, cpu: bool) -> None:
        pass


def test_nothing_is_tried_by_one_of_several_processes(
    backbone: BackboneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for the others, which are done."""
    monkeypatch.setattr(adaptation, "PartialState", Processes)
    monkeypatch.setattr(AdaptTrainer, "train_step", lambda self: pytest.fail("a step was done"))
    config = quick_config(backbone, steps=40, directions="axes")
    plan = describe_adaptation(
        RunSettings("heads", tmp_path / "run", config, backbone=backbone.path)
    )
    text = " ".join(plan.replace("#", "").split())
    assert "Time not timed with several processes; for an estimate start the same" in text
    trained = sum(each.numel() for each in Adapter(config.model).parameters())
    assert f"{trained / 1e6:.2f} million parameters" in text and "40 steps of 4 images" in text
    for changes, words in (
        ({"batch_size": 3}, "cannot be shared by 2 processes"),
        ({"batch_size": 2, "objective.name": "beta_tc"}, "compares 2 or more"),
    ):
        odd = quick_config(backbone, **changes)
        with pytest.raises(ValueError, match=words):
            describe_adaptation(RunSettings("heads", tmp_path, odd, backbone=backbone.path))


@torch.no_grad()
def test_passes_after_the_last_step_are_those_of_an_export(
    backbone: BackboneFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that paints the code's mean stands in for one in which every axis shows."""
    passes: list[int] = []

    def predict(self: AdaptedDiffAE, x_t: Tensor, t: Tensor, z: Tensor, *more: object) -> Tensor:
        passes.append(len(x_t))
        return torch.zeros_like(x_t) + z.mean(1)[:, None, None, None]

    monkeypatch.setattr(AdaptedDiffAE, "predict", predict)
    monkeypatch.setattr("trainer.assemble.SMALLEST_EFFECT", 0.0)
    more = {"adapt.base_images": 2, "adapt.drawing_steps": 5, "loop.copilot_warmup_steps": 0}
    config = quick_config(backbone, directions="axes", **{**more, "adapt.quality_images": 7})
    images = draw_patches(20)
    codes = open_wide_codes(backbone, images, tmp_path)
    trainer = AdaptTrainer(config, backbone, codes, images)
    trainer.step = 1
    evaluated = (to_tensor(images[:7]), "seen in training")
    model = assemble(
        trainer.averaged, config, images, ModelFacts(), evaluated, codes=trainer.wide_codes
    )
    assert len(model.directions) == 3
    draw_samples(trainer, directions=model.directions)
    assert sum(passes) == count_end_passes(config, 7)
