"""A small Diff-AE of random weights in a file, as an import writes it, and settings to adapt it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.editing.editable import EditableModel, LatentStatistics
from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.model import DiffAEConfig, build_networks
from trainer.config.adapt import AdaptConfig, load_adapt_preset
from trainer.training.backbone import BackboneFile, read_backbone

SIZE, WIDE = 16, 12
CONFIG = DiffAEConfig(
    image_size=SIZE,
    latent_dim=WIDE,
    base_channels=32,
    embed_dim=32,
    widths=(32, 64),
    num_res_blocks=1,
    attention_sizes=(8,),
    encoder_widths=(32, 64),
    encoder_num_res_blocks=1,
    encoder_attention_sizes=(8,),
)


def write_backbone(path: Path, seed: int = 0) -> Path:
    """Write one of random weights."""
    torch.manual_seed(seed)
    ones = torch.ones(WIDE)
    model = EditableModel(
        build_networks(CONFIG),
        NoiseSchedule(ScheduleConfig()),
        LatentStatistics(0 * ones, ones, -2 * ones, 2 * ones),
        (),
        ModelFacts(name="tiny"),
    )
    save_checkpoint(path, model)
    return path


def quick_config(backbone: BackboneFile, **values: object) -> AdaptConfig:
    """A run of a few steps."""
    config = load_adapt_preset("cpu", backbone.config, backbone.schedule, backbone.sha256)
    quick = {
        "steps": 8,
        "batch_size": 4,
        "save_every_steps": 3,
        "log_every_steps": 1,
        "model.latent_dim": 3,
        "model.hidden_dim": 16,
        "model.copilot.base_channels": 8,
        "model.copilot.hidden_dim": 16,
        "loop.copilot_warmup_steps": 2,
        "adapt.quality_images": 2,
        "adapt.drawing_steps": 2,
    }
    changed = config.with_values({**quick, **values})
    assert isinstance(changed, AdaptConfig)
    return changed


def open_backbone(folder: Path) -> BackboneFile:
    """Write one and read what it says."""
    return read_backbone(write_backbone(folder / "tiny.safetensors"))


def draw_patches(count: int, seed: int = 0) -> np.ndarray:
    """Ramps of random shift and colour, (n, 16, 16, 3) uint8."""
    grid = np.mgrid[0:SIZE, 0:SIZE].sum(0) * 4
    rng = np.random.default_rng(seed)
    shift, colour = rng.integers(0, 100, (count, 1, 1, 1)), rng.integers(0, 60, (count, 1, 1, 3))
    return (grid[None, ..., None] + shift + colour).clip(0, 255).astype(np.uint8)
