"""An adaptation as a run: of the networks only the adapter is trained, averaged and stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.model import AdaptedDiffAE, Adapter, TrainedNetworks

from ..config.adapt import AdaptConfig
from ..data import Images
from ..data.evenly import evenly
from ..errors import OutputTaken
from .adapt_losses import AdaptLosses
from .backbone import BackboneFile
from .step import TrainingLosses
from .trainer import Trainer

LEAST_STD = 1e-3  # of a scalar of the wide code, which might never differ in few images
STATISTICS_ROWS = 2**15  # codes that the statistics are measured on, at most


class AdaptTrainer(Trainer):
    """An adaptation in progress.

    The backbone is frozen, and left out of optimizer, average and states; a state names its file.

    Args:
        config: the run, for this backbone.
        backbone: the imported model's file.
        wide_codes: (n, 1 or 2, R) of the images, with `flip` also of the mirrored ones.
        images, device, held_out: as of `Trainer`.

    Raises:
        ValueError: as of `Trainer`, or settings of another backbone.
    """

    config: AdaptConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        config: AdaptConfig,
        backbone: BackboneFile,
        wide_codes: np.ndarray,
        images: Images,
        device: torch.device | str = "cpu",
        held_out: Images | None = None,
    ) -> None:
        check_backbone(config, backbone)
        expected = (len(images), 1 + config.flip, config.model.residual_dim)
        if wide_codes.shape != expected:
            raise ValueError(
                f"The wide codes have shape {wide_codes.shape}; the images and the settings need "
                f"{expected}. Compute them anew."
            )
        self.backbone = backbone
        self._wide_codes = wide_codes
        super().__init__(config, images, device, held_out)

    def make_networks(self) -> TrainedNetworks:
        """The backbone with a fresh adapter, whose statistics are those of the images."""
        model = self.config.model
        adapter = Adapter(model)
        rows = self._wide_codes[evenly(len(self._wide_codes), STATISTICS_ROWS), 0]
        codes = torch.from_numpy(rows).double()
        adapter.code_mean.copy_(codes.mean(0))
        adapter.code_std.copy_(codes.std(0).clamp(min=LEAST_STD))
        return AdaptedDiffAE(model, self.backbone.load(), adapter)

    def make_losses(self) -> TrainingLosses:
        return AdaptLosses(self.config, *self._loss_parts())

    @property
    def trained(self) -> Adapter:
        assert isinstance(self.networks, AdaptedDiffAE)
        return self.networks.adapter

    @property
    def averaged(self) -> TrainedNetworks:
        adapter = self.average.module
        assert isinstance(self.networks, AdaptedDiffAE) and isinstance(adapter, Adapter)
        return AdaptedDiffAE(self.config.model, self.networks.backbone, adapter)

    @property
    def wide_codes(self) -> np.ndarray:
        return self._wide_codes[:, 0]

    @property
    def export_dtype(self) -> torch.dtype:
        """As the weights of the backbone are stored."""
        return self.backbone.dtype

    @property
    def num_skips(self) -> int:
        """None: the frozen decoder was trained with all of them."""
        return 0

    def codes(self, step: int, items: slice, update: int) -> Tensor:
        rows = self._wide_codes[self.indices(step, items, update)]
        return torch.from_numpy(rows).to(self.device, non_blocking=True)

    def describe(self, facts: ModelFacts) -> ModelFacts:
        """As of `Trainer`, with the model that it is built on."""
        facts, backbone = super().describe(facts), self.backbone
        card = f"{facts.data_card} On top of {backbone.name}, which is unchanged within."
        own = f" {backbone.header.facts.data_card}" if backbone.header.facts.data_card else ""
        adapted = {"file": backbone.path.name, "sha256": backbone.sha256, "name": backbone.name}
        return replace(
            facts,
            data_card=f"{card}{own}",
            licence=f"{facts.licence} The licence of {backbone.name} holds as well.",
            other={**facts.other, "adapted": adapted},
        )

    def state(self) -> dict[str, Any]:
        backbone = {"file": self.backbone.path.name, "sha256": self.backbone.sha256}
        return {**super().state(), "backbone": backbone}

    def load(self, state: dict[str, Any], *, other_images: bool = False) -> None:
        """As of `Trainer`. Raises: OutputTaken also for a state of another backbone."""
        there = state.get("backbone", {})
        if there.get("sha256") != self.backbone.sha256:
            raise OutputTaken(
                f"The training state belongs to the model file '{there.get('file', 'none')}', and "
                f"{self.backbone.path.name} is another one.",
                "Give that file",
            )
        super().load(state, other_images=other_images)


def check_backbone(config: AdaptConfig, backbone: BackboneFile) -> None:
    """Raises: ValueError for settings that are not of this backbone."""
    for name, given, found in (
        ("adapt.backbone_sha256", config.adapt.backbone_sha256, backbone.sha256),
        ("model.backbone", config.model.backbone, backbone.config),
        ("schedule", config.schedule, backbone.schedule),
    ):
        if given != found:
            raise ValueError(
                f"The setting {name} does not fit the model {backbone.path.name}. Leave it as it "
                "is in the file of the model, or give the model that it belongs to."
            )
