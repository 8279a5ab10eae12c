"""A tiny random model that several test folders use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel, LatentStatistics
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality, TrainingFacts
from comfyui_cldis.model import (
    CopilotConfig,
    DecoderConfig,
    DiffusionAutoencoder,
    EncoderConfig,
    ModelConfig,
)

if "PYTEST_XDIST_WORKER" in os.environ:  # each core has a worker of its own
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start

LATENT_DIM = 4


def make_tiny_model(seed: int = 0, **changes: int) -> EditableModel:
    """A random 32-pixel model with two directions; `changes` go to its ModelConfig."""
    values = {"image_size": 32, "latent_dim": LATENT_DIM, "residual_dim": 3, "patch_size": 2}
    values |= changes
    config = ModelConfig(
        encoder=EncoderConfig(base_channels=8, channel_mults=(1, 2), hidden_dim=16),
        decoder=DecoderConfig(
            base_channels=8,
            channel_mults=(1, 2),
            attention_sizes=(values["image_size"] // values["patch_size"] // 2,),
            embed_dim=16,
            token_dim=8,
            num_heads=2,
        ),
        copilot=CopilotConfig(image_size=16, base_channels=4, hidden_dim=16),
        **values,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = DiffusionAutoencoder(config)
        for parameter in networks.parameters():
            # Layers that start at zero would hide errors: give every weight a value.
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
        codes = torch.randn(64, config.latent_dim)
    axis = torch.eye(config.latent_dim).tolist()
    return EditableModel(
        networks=networks.requires_grad_(False).train(False),
        schedule=NoiseSchedule(ScheduleConfig()),
        statistics=LatentStatistics.from_codes(codes),
        directions=(
            Direction("hair length", tuple(axis[1]), -2.0, 2.5, "short", "long", 0.25),
            Direction("yaw", tuple(axis[0]), -1.5, 1.5, "left", "right", 0.125),
        ),
        facts=ModelFacts(
            name="tiny",
            licence="CC0",
            data_card="Random weights.\nNo data: größer als nichts.",
            training=TrainingFacts(steps=0, seed=seed),
            quality=ModelQuality(other={"psnr_db": 12.5}),
        ),
    )


@pytest.fixture(scope="session")
def tiny_model() -> EditableModel:
    """One random 32-pixel model for the whole run; no test may change it."""
    return make_tiny_model()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., EditableModel]:
    """`make_model(seed=1, in_channels=1)` builds another tiny model."""
    return make_tiny_model


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model: EditableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a file; no test may change it."""
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_checkpoint(path, tiny_model)
    return path
