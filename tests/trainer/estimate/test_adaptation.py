"""The plan of an adaptation."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_cldis.model import Adapter
from tests.trainer.backbones import open_backbone, quick_config
from trainer.estimate import adaptation
from trainer.estimate.adaptation import describe_adaptation
from trainer.run import RunSettings
from trainer.training.adapt import AdaptTrainer
from trainer.training.backbone import BackboneFile


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
    with pytest.raises(ValueError, match=r"cannot be shared by 2 processes"):
        odd = quick_config(backbone, batch_size=3)
        describe_adaptation(RunSettings("heads", tmp_path, odd, backbone=backbone.path))
