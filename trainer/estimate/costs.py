"""What a step of training costs: counted on shapes alone, then timed on random images.

The counts come from a forward pass over fake tensors, which have shapes and types but no numbers,
so a model larger than this machine is counted as well. They bound the trial: steps that would not
fit or would take too long are not tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.directions.quality import AMOUNTS as MEASURED_AMOUNTS
from comfyui_cldis.model import DiffusionAutoencoder
from comfyui_cldis.tracking import TrackingSettings

from ..assemble import AXIS_STEPS, measuring_of
from ..config.settings import TrainConfig
from ..model_quality import DIRECTION_STEPS, INVERSION_STEPS
from ..navigation.auto import CANDIDATES, HELD_OUT
from ..report import samples
from ..training.feedback import build_feedback, neutral
from ..training.objectives import build_objective
from ..training.step import TrainingLosses, draw
from ..training.trainer import Trainer

OTHER_TRACKED = 40  # images that content tracking draws for a direction beside its bases, about
FLOAT_BYTES = 4
COUNTED_BATCHES = (2, 4)
STEP_FACTOR = 3  # a backward pass computes two products for each one of the forward pass
QUALITY_STEPS = 20  # of inversion and of drawing, where the quality is measured
MEMORY_MARGIN = 1.15  # of free memory over what is counted, which leaves out what comes and goes
TRIAL_SECONDS = 3.0  # for a step of more images than the fewest
TRIED_STEPS = 2
SPEED_IMAGES, SPEED_TRIES = 8, 3  # of the encoder, where one image takes less than QUICK
QUICK = 0.5  # seconds
LONGEST_STEP = 10.0  # seconds; a longer one is not tried


@dataclass(frozen=True)
class Costs:
    """Counts of a configuration.

    Attributes:
        parameters: of "encoder", "U-Net", "co-pilot", "objective" and "feedback".
        fixed_bytes: kept for the backward pass whatever the number of images (with precision
            "bf16" a copy of the weights).
        image_bytes: kept for the backward pass per image.
        operations: floating-point operations of a training step per image; a multiplication and
            its addition count as two.
        copilot_operations: the same of a step that trains only the co-pilot.
    """

    parameters: dict[str, int]
    fixed_bytes: int
    image_bytes: int
    operations: float
    copilot_operations: float

    @property
    def num_parameters(self) -> int:
        """Of all parts together."""
        return sum(self.parameters.values())

    @property
    def state_bytes(self) -> int:
        """Of one saved state: weights, their average and the optimizer's two moments."""
        return 4 * FLOAT_BYTES * self.num_parameters

    def step_bytes(self, num_images: int) -> int:
        """Memory of a step: a state, the gradients, and what is kept for the backward pass."""
        learned = self.state_bytes + FLOAT_BYTES * self.num_parameters
        return learned + self.fixed_bytes + num_images * self.image_bytes

    def fits(self, num_images: int, free: int) -> bool:
        """Whether a step of so many images at a time can be done with `free` bytes of memory."""
        return MEMORY_MARGIN * self.step_bytes(num_images) <= free


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step of the whole batch.

    Attributes:
        num_images: per timed step; the batch is a multiple of it in seconds. 0 when a step was too
            long to be tried, and the seconds follow from the speed of the encoder by the count of
            operations.
    """

    seconds: float
    num_images: int


def count_costs(config: TrainConfig) -> Costs:
    """Parameters, activations and operations of a step; nothing is computed or allocated."""
    schedule = NoiseSchedule(config.schedule)
    _ = schedule.alphas_bar  # a table of true numbers, made before tensors become fake
    kept: list[int] = []
    operations: list[int] = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        networks = DiffusionAutoencoder(config.model)
        num_images = max(COUNTED_BATCHES)  # a batch may not be larger than the data set
        objective = build_objective(config.objective, config.model.latent_dim, num_images)
        feedback = build_feedback(config)
        losses = TrainingLosses(networks, objective, feedback, schedule, config.loop, config.flip)
        for copilot_only in (config.loop.copilot_only, True):
            with FlopCounterMode(display=False) as counter:
                kept += [kept_bytes(losses, config, n, copilot_only) for n in COUNTED_BATCHES]
            operations.append(STEP_FACTOR * counter.get_total_flops() // sum(COUNTED_BATCHES))
    small, large = COUNTED_BATCHES
    image_bytes = (kept[1] - kept[0]) // (large - small)
    updates = config.loop.copilot_updates
    parts = {
        "encoder": networks.encoder,
        "U-Net": networks.unet,
        "co-pilot": networks.copilot,
        "objective": objective,
        "feedback": feedback,
    }
    return Costs(
        parameters={
            name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()
        },
        fixed_bytes=max(0, kept[0] - small * image_bytes),
        image_bytes=image_bytes,
        operations=operations[0] + (updates - 1) * operations[1],
        copilot_operations=updates * operations[1],
    )


def kept_bytes(
    losses: TrainingLosses, config: TrainConfig, batch: int, copilot_only: bool = False
) -> int:
    """Bytes that a forward pass over `batch` images keeps for the backward pass.

    Tensors that share memory count once; parameters do not count.
    """
    model = config.model
    x0 = torch.zeros(batch, model.in_channels, model.image_size, model.image_size)
    part = replace(config, batch_size=batch, accumulation_steps=1)
    assert isinstance(losses.networks, DiffusionAutoencoder)
    draws = draw(part, torch.Generator(), losses.networks.unet.num_skips)
    signals = neutral(model.latent_dim, config.schedule.num_train_steps)
    own = [parameter.untyped_storage() for parameter in losses.parameters()]
    kept: dict[int, torch.UntypedStorage] = {}  # held meanwhile, so that no id comes twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        losses(x0, draws, *torch.ones(3).unbind(), signals, copilot_only)
    for storage in own:
        kept.pop(id(storage), None)
    return sum(storage.nbytes() for storage in kept.values())


def time_step(
    config: TrainConfig, costs: Costs, part_size: int, device: str, free: int
) -> StepTime | None:
    """Do a true step on random images, without torch.compile, and scale it to the whole batch.

    It begins with two images and is done again with more, up to a part of the batch, as long as
    that fits memory and time. Where two take too long, by the speed of the encoder, none is done.

    Args:
        part_size: images that the device computes at a time.
        free: bytes of memory that the device has left.

    Returns:
        None when not even two images fit into the memory.
    """
    count = min(part_size, 2)  # some objectives compare the images of a batch with each other
    if not costs.fits(count, free):
        return None
    per_image = costs.operations * _seconds_per_operation(config, device)
    if count * per_image > LONGEST_STEP:
        return StepTime(config.batch_size * per_image, 0)
    while True:
        seconds = _seconds_per_step(config, count, device)
        larger = min(part_size, int(count * TRIAL_SECONDS / seconds))
        while larger > count and not costs.fits(larger, free):
            larger //= 2
        if larger <= count:
            return StepTime(config.batch_size * seconds / count, count)
        count = larger


def _seconds_per_step(config: TrainConfig, count: int, device: str) -> float:
    """The second step on `count` images; the first one where that was long already.

    The usage is measured in neither, for it is counted (`usage_passes`).
    """
    tried = replace(
        config,
        loop=replace(config.loop, copilot_warmup_steps=0),
        feedback=replace(config.feedback, usage_every_steps=TRIED_STEPS + 1),
        batch_size=count,
        accumulation_steps=1,
        use_compile=False,
    )
    size, channels = config.model.image_size, config.model.in_channels
    images = np.random.default_rng(0).integers(
        0, 256, (max(count, 2), size, size, channels), dtype=np.uint8
    )
    trainer = Trainer(tried, images, device)
    seconds = measured_seconds(trainer.train_step, device)
    return seconds if seconds > LONGEST_STEP else measured_seconds(trainer.train_step, device)


def _seconds_per_operation(config: TrainConfig, device: str) -> float:
    """The speed of the encoder: of some tries, the fastest.

    It is that on one image or, where this is quick, on several together, if they need less each:
    where other programs use the processor, every operation waits for it, whatever its size.
    """
    model = config.model
    encoder = DiffusionAutoencoder(model).to(device).encode_semantic
    x = torch.zeros(1, model.in_channels, model.image_size, model.image_size, device=device)
    is_half = config.precision == "bf16"
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=is_half):
        with FlopCounterMode(display=False) as counter:
            encoder(x)
        seconds = measured_seconds(lambda: encoder(x), device)
        if seconds < QUICK:
            together = x.repeat(SPEED_IMAGES, 1, 1, 1)
            tries = [
                measured_seconds(lambda: encoder(together), device) for _ in range(SPEED_TRIES)
            ]
            seconds = min(seconds, min(tries) / SPEED_IMAGES)
    return seconds / counter.get_total_flops()


def measured_seconds(work: Callable[[], object], device: str) -> float:
    """How long `work` takes, with what it left to a GPU."""
    began = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def count_end_passes(config: TrainConfig, num_evaluated: int) -> int:
    """Passes of one image through the diffusion branch after the last step of a run, at most.

    They are the export's, which ranks the axes, measures directions and quality, and the samples'
    of the report. Every axis counts as a direction. Of finders only `auto` is counted: what it
    draws to compare its candidates. None in a run of the co-pilot alone. Of an adaptation they are
    passes through the frozen decoder.

    Args:
        num_evaluated: images that the quality is measured on.
    """
    if config.loop.copilot_only:
        return 0
    measuring, num_axes = measuring_of(config), config.model.latent_dim
    own = measuring.drawing_steps
    bases = measuring.base_images + measuring.evaluation_bases
    inverted = bases * ((own or INVERSION_STEPS) + 1)  # one more step corrects the last
    ranked = num_axes * measuring.base_images * 2 * (own or AXIS_STEPS)  # both ways
    measured = num_axes * measuring.evaluation_bases * len(MEASURED_AMOUNTS)
    measured *= own or DIRECTION_STEPS
    # inverted, drawn from that noise, and twice from random noise
    evaluated = num_evaluated * (4 * (2 * own if own else QUALITY_STEPS) + 1)
    moved = min(num_axes, samples.NUM_ROWS) * samples.NUM_BASES * len(samples.AMOUNTS)
    shown = samples.NUM_COLUMNS * (3 * samples.NUM_STEPS + 1) + moved * samples.NUM_STEPS
    compared = _count_compared(num_axes) if config.directions == "auto" else 0
    return inverted + ranked + measured + evaluated + shown + compared


def _count_compared(num_axes: int) -> int:
    """Passes of content tracking for all candidates of the finder `auto`."""
    num_steps = TrackingSettings().num_steps
    inverted = HELD_OUT * (num_steps + 1)
    drawn = num_axes * (2 * HELD_OUT + OTHER_TRACKED) * num_steps
    return len(CANDIDATES) * (inverted + drawn)
