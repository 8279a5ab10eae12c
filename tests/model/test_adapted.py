"""A small code on top of a frozen Diff-AE: what it leaves alone, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_cldis.checkpoint import load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel, LatentStatistics
from comfyui_cldis.editing.pipeline import decode, edit, encode, preview
from comfyui_cldis.model import AdaptedConfig, AdaptedDiffAE, build_networks
from comfyui_cldis.model.config import CopilotConfig
from comfyui_cldis.model.diffae import LatentNetConfig
from tests.trainer.backbones import CONFIG as BACKBONE

CONFIG = AdaptedConfig(BACKBONE, latent_dim=3, hidden_dim=16, copilot=CopilotConfig(16, 8, 16))


def make_model() -> EditableModel:
    """Random weights and one direction."""
    torch.manual_seed(0)
    networks = build_networks(CONFIG).train(False).requires_grad_(False)
    assert isinstance(networks, AdaptedDiffAE)
    networks.adapter.code_mean.normal_()
    networks.adapter.code_std.uniform_(0.5, 2.0)
    statistics = LatentStatistics.from_codes(torch.randn(50, 3))
    direction = Direction("first", (1.0, 0.0, 0.0), -2.0, 2.0, "less", "more", 0.1)
    return EditableModel(networks, NoiseSchedule(ScheduleConfig()), statistics, (direction,))


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return make_model()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def backbone_of(model: EditableModel) -> EditableModel:
    """The Diff-AE within."""
    assert isinstance(model.networks, AdaptedDiffAE)
    wide = torch.ones(12)
    statistics = LatentStatistics(0 * wide, wide, -wide, wide)
    return EditableModel(model.networks.backbone, model.schedule, statistics, ())


def test_without_an_edit_it_draws_what_the_backbone_draws(
    model: EditableModel, images: torch.Tensor
) -> None:
    backbone = backbone_of(model)
    expected = decode(backbone, encode(backbone, images, inversion_steps=4), num_steps=4)
    latent = encode(model, images, inversion_steps=4)
    drawn = decode(model, edit(model, latent, {"first": 0.0}), num_steps=4)
    assert torch.allclose(drawn, expected, rtol=0, atol=2e-5)
    moved = decode(model, edit(model, latent, {"first": 2.0}), num_steps=4)
    assert float((moved - drawn).abs().max()) > 1e-3


def test_small_and_residual_code_are_the_whole_wide_one(
    model: EditableModel, images: torch.Tensor
) -> None:
    networks = model.networks
    assert isinstance(networks, AdaptedDiffAE)
    posterior = networks.encode_semantic(images)
    assert posterior.mu.shape == (2, 3)
    assert posterior.residual is not None and posterior.residual.shape == (2, 12)
    wide = networks.backbone.encode_semantic(images).mu
    again = networks.wide_code(posterior.mu, posterior.residual)
    assert torch.allclose(again, wide, rtol=0, atol=1e-6)
    alone = networks.wide_code(posterior.mu)
    expected = networks.adapter.denormalise(networks.adapter.embed(posterior.mu))
    assert torch.equal(alone, expected) and not torch.allclose(alone, wide, atol=0.1)


def test_a_preview_is_drawn_by_the_copilot(model: EditableModel, images: torch.Tensor) -> None:
    latent = encode(model, images, inversion_steps=0)
    assert preview(model, latent).shape == (2, 3, 16, 16)
    assert not torch.equal(
        preview(model, latent), preview(model, edit(model, latent, {"first": 1}))
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_its_file_holds_all_of_it(
    model: EditableModel, images: torch.Tensor, tmp_path: Path, dtype: torch.dtype
) -> None:
    path = tmp_path / "adapted.safetensors"
    save_checkpoint(path, model, dtype=dtype)
    header, loaded = read_header(path), load_checkpoint(path)
    assert header.config == CONFIG and header.has_copilot and header.format_version == 3
    for name, tensor in model.networks.state_dict().items():
        assert torch.equal(loaded.networks.state_dict()[name], tensor.to(dtype).float()), name
    if dtype == torch.float32:
        first, second = (encode(each, images, inversion_steps=2) for each in (model, loaded))
        assert torch.equal(decode(model, first, num_steps=2), decode(loaded, second, num_steps=2))


def test_a_configuration_is_read_back_and_wrong_ones_are_refused() -> None:
    assert AdaptedConfig.from_dict(CONFIG.to_dict()) == CONFIG
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"latent_dim": 0}, "latent_dim is 0. Use 1 to 4096"),
        ({"hiden_dim": 8}, "hidden_dim"),
        ({"copilot": 3}, "The copilot configuration is no table of values"),
        ({"copilot": {"image_size": 20}}, "copilot.image_size is 20"),
        ({"backbone": {"widths": []}}, "widths"),
    ]
    for values, message in wrong:
        with pytest.raises(ValueError, match=message):
            AdaptedConfig.from_dict({**CONFIG.to_dict(), **values})
    with pytest.raises(ValueError, match="missing.*backbone"):
        AdaptedConfig.from_dict({"latent_dim": 3})
    with pytest.raises(ValueError, match="latent diffusion model. Leave latent_net out"):
        AdaptedConfig(replace(BACKBONE, latent_net=LatentNetConfig()))
