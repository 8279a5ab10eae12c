"""From a run to the model it exports: averaged weights, statistics, directions, quality."""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.directions.axes import VISIBLE_EFFECT, find_axes
from comfyui_cldis.directions.even import draws_previews, even_directions
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel, LatentStatistics
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality, TrainingFacts
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import encode
from comfyui_cldis.model import AdaptedDiffAE, Networks
from comfyui_cldis.wording import counted, printable

from .config.adapt import AdaptConfig
from .config.settings import TrainConfig
from .data import SOURCES, Images
from .data.evenly import evenly
from .model_quality import EVALUATION_BASES, INVERSION_STEPS, measure_directions, measure_quality
from .training.batches import to_tensor

STATISTICS_IMAGES = 4096
BASE_IMAGES = 8
SMALLEST_EFFECT = VISIBLE_EFFECT
AXIS_STEPS = 10  # of sampling, where axes are ranked
UNSEEN_IMAGES, SEEN_IMAGES = 256, 64
EVALUATION_SEED_OFFSET = 1_000_003
UNKNOWN_LICENCE = "Not stated: it follows the licence of the images the model was trained on."


class Measuring(NamedTuple):
    """How thoroughly a finished model is measured.

    Attributes:
        quality_images: images that the quality is measured on, at most.
        base_images: images that axes are ranked on.
        evaluation_bases: images that directions are measured on.
        drawing_steps: sampling steps of both, and of their inversion; None for as many as usual.
    """

    quality_images: int
    base_images: int
    evaluation_bases: int
    drawing_steps: int | None = None


def measuring_of(config: TrainConfig) -> Measuring:
    """As much as there is time for with the model of a run."""
    if isinstance(config, AdaptConfig):
        adapt = config.adapt
        bases = adapt.base_images
        return Measuring(adapt.quality_images, bases, 2 * bases, adapt.drawing_steps)
    return Measuring(UNSEEN_IMAGES, BASE_IMAGES, EVALUATION_BASES)


@torch.no_grad()
def measure_statistics(
    networks: Networks,
    images: Images,
    codes: np.ndarray | None = None,
    batch_size: int = 128,
) -> tuple[LatentStatistics, Tensor]:
    """Latent statistics and mean image over evenly spaced training images (at most 4096).

    Args:
        codes: wide codes (n, R) of the images, of an adapted model, which saves encoding them.
    """
    chosen = evenly(len(images), STATISTICS_IMAGES)
    found, total = [], torch.zeros(images.shape[3], *images.shape[1:3], dtype=torch.float64)
    for start in range(0, len(chosen), batch_size):
        some = chosen[start : start + batch_size]
        batch = to_tensor(images[some], networks.device)
        if codes is not None and isinstance(networks, AdaptedDiffAE):
            wide = torch.from_numpy(codes[some]).to(networks.device)
            found.append(networks.adapter.posterior(wide).mu.cpu())
        else:
            found.append(networks.encode_semantic(batch).mu.cpu())
        total += batch.double().sum(0).cpu()
    return LatentStatistics.from_codes(torch.cat(found)), (total / len(chosen)).float()


def evaluation_images(
    source: str, config: TrainConfig, images: Images, held_out: Images | None = None
) -> tuple[Tensor, str]:
    """Images to measure quality on, (n, C, S, S), and in words whether training saw them.

    Heads and the drawn factor sets: 256 drawn with another seed. Other sources: the images held
    out; where there are none, 64 training images, evenly spaced. Fewer if `measuring_of` says so.
    """
    most = measuring_of(config).quality_images
    if source in SOURCES:
        drawn = SOURCES[source].draw_unseen(
            min(most, UNSEEN_IMAGES),
            config.model.image_size,
            config.model.in_channels,
            config.seed + EVALUATION_SEED_OFFSET,
        )
        return to_tensor(drawn), SOURCES[source].unseen
    if held_out is not None:
        return to_tensor(held_out[evenly(len(held_out), most)]), "not seen in training"
    return to_tensor(images[evenly(len(images), min(most, SEEN_IMAGES))]), "seen in training"


def assemble(
    networks: Networks,
    config: TrainConfig,
    images: Images,
    facts: ModelFacts,
    evaluated: tuple[Tensor, str],
    log: Callable[[str], None] = lambda text: None,
    codes: np.ndarray | None = None,
) -> EditableModel:
    """Measure everything the checkpoint's header holds and put the model together.

    Of a run of the co-pilot alone there is nothing to measure: encoder and U-Net are untrained.

    Args:
        networks: averaged weights; copied, so the run is not disturbed.
        images: training images, uint8 (n, S, S, C).
        facts: what the run knows; how directions were found and the quality are added here.
        evaluated: images the quality is measured on, and whether training saw them, unless
            `facts.quality.images` knows better.
        log: gets a sentence about each measurement.
        codes: see `measure_statistics`.
    """
    evaluation_set, seen = evaluated
    seen, facts = facts.quality.images or seen, replace(facts, quality=ModelQuality())
    measuring = measuring_of(config)
    drawing_steps = measuring.drawing_steps or INVERSION_STEPS
    networks = copy.deepcopy(networks)
    networks.train(False)
    statistics, mean = measure_statistics(networks, images, codes)
    model = EditableModel(networks, NoiseSchedule(config.schedule), statistics, (), facts)
    if config.loop.copilot_only:
        log("Only the co-pilot was trained, so neither directions nor quality are measured.")
        return model
    chosen = images[evenly(len(images), measuring.base_images)]
    bases = encode(
        model, to_tensor(chosen), inversion=MEASURING_SAMPLER, inversion_steps=drawing_steps
    )
    if config.directions == "axes":
        with tqdm(total=config.model.latent_dim, desc="measuring directions", unit="axis") as bar:
            directions = find_axes(
                model,
                bases,
                num_steps=measuring.drawing_steps or AXIS_STEPS,
                smallest_effect=SMALLEST_EFFECT,
                on_axis=lambda _: bar.update(),
            )
    else:
        directions, navigation = navigated(model, images, bases, config, log)
        facts = replace(facts, navigation=navigation)
    model = EditableModel(networks, model.schedule, statistics, directions, facts)
    log(f"Measuring the quality on {counted(len(evaluation_set), 'image')} ({seen}).")
    more = {"num_steps": 2 * drawing_steps} if measuring.drawing_steps else {}
    quality = measure_quality(model, evaluation_set, mean, seen, **more)
    model = replace(model, facts=replace(facts, quality=quality))
    if directions:
        some = evaluation_set[evenly(len(evaluation_set), measuring.evaluation_bases)]
        bases = encode(model, some, inversion=MEASURING_SAMPLER, inversion_steps=drawing_steps)
        if draws_previews(model):
            model = even_directions(model, bases)
        with tqdm(total=len(directions), desc="drawing directions", unit="direction") as bar:
            model = measure_directions(
                model, bases, lambda *_: bar.update(), measuring.drawing_steps
            )
    return model


def navigated(
    model: EditableModel,
    images: Images,
    bases: Latent,
    config: TrainConfig,
    log: Callable[[str], None],
) -> tuple[tuple[Direction, ...], dict[str, Any]]:
    """Directions by the finder that the configuration names, and the facts of the search.

    A model in which there is nothing to find is exported without directions, which is logged.
    """
    from .navigation import ModelSpace, NavigationSettings, Watch, find
    from .navigation.auto import describe_choice
    from .navigation.progress import on_bar
    from .navigation.result import visible_directions

    log(f"Looking for directions with the finder {config.directions}.")
    space = ModelSpace.of_data(model, images)
    facts: dict[str, Any] = {"finder": config.directions, "seed": config.seed}
    try:
        with tqdm(desc=f"finder {config.directions}", unit="step") as bar:
            found_with = NavigationSettings(finder=config.directions)
            basis = find(space, found_with, config.seed, Watch(on_bar(bar)))
        for sentence in describe_choice(basis):
            log(sentence)
    except ValueError as error:
        log(f"{error} The model has no directions; the rest of it is complete.")
        return (), facts
    return visible_directions(model, space, basis, bases), {**facts, **basis.facts}


def describe_hardware(device: torch.device) -> str:
    """Name of the processor or the graphics card that did the work."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name or platform.machine()}, {counted(torch.get_num_threads(), 'thread')}"


def describe_run(
    config: TrainConfig,
    *,
    source: str,
    num_images: int,
    num_held_out: int = 0,
    step: int,
    seconds: float,
    command: str,
    device: torch.device,
    planned_steps: int | None = None,
) -> ModelFacts:
    """The facts of a checkpoint as far as the run knows them.

    Args:
        planned_steps: the length its schedules are shares of, where it got more steps later.
    """
    built_in, source_name = SOURCES.get(source), printable(Path(source).name)
    verb = "was" if num_held_out == 1 else "were"
    held_out = f"{num_held_out:,} more {verb} held out of the training." if num_held_out else ""
    size = config.model.image_size
    card = f"{counted(num_images, 'image')} from {source_name}, {size} px."
    about = held_out or (built_in.card if built_in else "")
    return ModelFacts(
        name=f"{source_name} {size}",
        licence=built_in.licence if built_in else UNKNOWN_LICENCE,
        data_card=f"{card} {about}".rstrip(),
        training=TrainingFacts(
            command=command,
            steps=step,
            images=step * config.batch_size,
            copilot_images=step * config.batch_size * config.loop.copilot_updates,
            seed=config.seed,
            hours=float(f"{seconds / 3600:.3g}"),
            hardware=describe_hardware(device),
            date=date.today().isoformat(),
            planned_steps=planned_steps,
            config=config.to_dict(),
        ),
    )
