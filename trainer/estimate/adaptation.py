"""What an adaptation will be, before it starts: `cldis adapt ... --dry-run`.

The text is a TOML file, like that of `dry_run`: saved to a file it serves as a preset for the same
imported model, whose own facts are left out of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import PartialState

from comfyui_cldis.model import Adapter
from comfyui_cldis.wording import counted

from ..assemble import measuring_of
from ..config.adapt import OF_THE_FILE, AdaptConfig
from ..report.checks import check_settings
from ..run import RunSettings
from ..training.adapt import AdaptTrainer
from ..training.backbone import BackboneFile, read_backbone
from ..training.batches import to_tensor
from ..training.distributed import part_of_batch
from ..training.feedback import usage_passes
from ..training.objectives import smallest_batch
from ..training.wide_codes import open_wide_codes
from .costs import TRIED_STEPS, count_end_passes
from .dry_run import (
    WITHOUT_LAUNCHER,
    about,
    count_images,
    plan_text,
    rounded,
    without_finder,
)

TRIED = 2  # images that are encoded and trained on for the estimate
FLOAT_BYTES = 4


def describe_adaptation(settings: RunSettings) -> str:
    """The text of an adaptation's plan; empty on all processes of a run but the first.

    Loads the imported model and does two steps with two images, unless there are several processes.
    Decodes no images and writes nothing that stays.

    Raises:
        FileNotFoundError: no such data or model.
        ValueError: settings, data or a model that cannot be used.
    """
    config = settings.config
    assert isinstance(config, AdaptConfig) and settings.backbone is not None
    process = PartialState(cpu=settings.device == "cpu")
    if not process.is_main_process:
        return ""
    smallest = smallest_batch(config.objective, config.model.latent_dim)
    part_of_batch(config.batch_size, process.num_processes, config.accumulation_steps, smallest)
    backbone = read_backbone(settings.backbone)
    num_images, source = count_images(settings)
    trial = _try(settings, config, backbone) if process.num_processes == 1 else None
    found = [
        ("Images", source),
        ("Model", _model(backbone)),
        *_costs(trial, settings, config, backbone, num_images),
        *((each.severity.capitalize(), each.text) for each in check_settings(config.to_dict())),
    ]
    chosen = _chosen(config.to_dict())
    return plan_text("an adaptation", found, "a preset for the same model", chosen)


def _chosen(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings without those that the file of the imported model says."""
    return {
        key: _chosen(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in values.items()
        if f"{prefix}{key}" not in OF_THE_FILE and key != "kind"
    }


def _model(backbone: BackboneFile) -> str:
    size = backbone.config.image_size
    return (
        f"{backbone.path.name}, {size} x {size} px, a code of {backbone.config.latent_dim} "
        f"scalars, {backbone.header.parameters / 1e6:.1f} million parameters, all frozen"
    )


class Trial(NamedTuple):
    """Seconds of the parts of a run.

    Attributes:
        encoding, drawing: one image through the frozen encoder, and once through its decoder.
        step: a step of a whole batch.
    """

    encoding: float
    drawing: float
    step: float


def _try(settings: RunSettings, config: AdaptConfig, backbone: BackboneFile) -> Trial:
    """Do each part of a run with TRIED random images."""
    size, channels = config.model.image_size, config.model.in_channels
    images = np.random.default_rng(0).integers(0, 256, (TRIED, size, size, channels), np.uint8)
    decoded = min(TRIED, config.adapt.diffusion_items)
    small = replace(
        config,
        loop=replace(config.loop, copilot_warmup_steps=0),
        feedback=replace(config.feedback, usage_every_steps=TRIED_STEPS + 1),  # counted instead
        batch_size=TRIED,
        accumulation_steps=1,
        use_compile=False,
        adapt=replace(config.adapt, diffusion_items=decoded),
    )
    with tempfile.TemporaryDirectory() as folder:
        codes = np.array(open_wide_codes(backbone, images, Path(folder), flip=config.flip))
    trainer = AdaptTrainer(small, backbone, codes, images, settings.device)
    x = to_tensor(images[:1], trainer.device)
    z = torch.zeros(1, config.model.latent_dim, device=trainer.device)
    t = torch.zeros(1, dtype=torch.long, device=trainer.device)
    with torch.no_grad():
        encoding = _seconds(lambda: trainer.networks.encode_semantic(x), trainer.device)
        drawing = _seconds(lambda: trainer.networks.predict(x, t, z), trainer.device)
    step = _seconds(trainer.train_step, trainer.device) / TRIED
    if decoded:
        plain = max(0.0, step - 3 * drawing * decoded / TRIED)  # forward and backward
        step = plain * config.batch_size + 3 * drawing * config.adapt.diffusion_items
    else:
        step *= config.batch_size
    return Trial(encoding, drawing, step)


def _costs(
    trial: Trial | None,
    settings: RunSettings,
    config: AdaptConfig,
    backbone: BackboneFile,
    num_images: int | None,
) -> list[tuple[str, str]]:
    """What is trained, how long the run will take and what it will write, as lines of the plan."""
    size, channels = config.model.image_size, config.model.in_channels
    trained = sum(p.numel() for p in Adapter(config.model).parameters())
    rows = FLOAT_BYTES * backbone.config.latent_dim * (1 + config.flip)
    length = (
        f"{counted(config.steps, 'step')} of {counted(config.batch_size, 'image')}, of which "
        f"{config.adapt.diffusion_items} go through the frozen decoder"
    )
    return [
        ("Length", length),
        ("Trained", f"{trained / 1e6:.2f} million parameters: co-pilot, head and embedding"),
        ("Time", _time(trial, config, num_images)),
        (
            "Disk",
            f"in {settings.output}: decoded images {size * size * channels:,} bytes and codes "
            f"{rows:,} bytes each, {config.keep_states + 1} states of "
            f"{4 * FLOAT_BYTES * trained / 2**20:.0f} MiB, and the model, which holds the "
            f"imported one, {backbone.path.stat().st_size / 2**20:,.0f} MiB",
        ),
    ]


def _time(trial: Trial | None, config: AdaptConfig, num_images: int | None) -> str:
    if trial is None:
        return f"not timed with several processes; {WITHOUT_LAUNCHER}"
    codes_known = ""
    if num_images:
        first = trial.encoding * (1 + config.flip) * num_images
        codes_known = f", for {counted(num_images, 'image')} {about(first)}"
    passes = usage_passes(config)
    measuring = passes.encoder * trial.encoding + passes.decoder * trial.drawing
    training = trial.step * config.steps
    training += measuring * (config.steps - config.copilot_warmup_steps)
    end = trial.drawing * count_end_passes(config, measuring_of(config).quality_images)
    return (
        f"estimates from {counted(TRIED, 'random image')}: encoding every image once, "
        f"{rounded(trial.encoding)} s each{codes_known}; training "
        f"{about(training)}, at {rounded(trial.step)} s per step; at its end "
        f"up to {about(end)} for directions, quality and report" + without_finder(config)
    )


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes the second time, with what it left to a GPU."""
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return seconds
