"""What a step of training costs: parameters, memory and arithmetic counted, seconds timed.

The counts come from a forward pass over fake tensors, which have shapes and types but no numbers,
so a model larger than this machine is counted as well. A step that is too long or too large to be
tried is estimated from the speed of a matrix product.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.directions.quality import AMOUNTS as MEASURED_AMOUNTS
from comfyui_cldis.model import DiffusionAutoencoder

from ..config.settings import TrainConfig
from ..export import BASE_IMAGES
from ..model_quality import DIRECTION_STEPS, EVALUATION_BASES, INVERSION_STEPS
from ..report import samples
from ..training.objectives import build_objective
from ..training.step import TrainingLosses, draw
from ..training.trainer import Trainer

GIB = 2**30
FLOAT_BYTES = 4
PROGRAM_BYTES = 400 * 2**20  # Python, PyTorch and what they load; a CUDA context is about as large
FAKE_BATCHES = (2, 4)
QUALITY_STEPS = 20  # of inversion and of drawing, where the quality is measured
STEP_FACTOR = 3  # a backward pass computes two products for each one of the forward pass
TIMED_STEPS = 2
TIMING_BUDGET = 6.0  # seconds for the timed steps and the one before them
TIMING_LIMIT = 30.0  # the same with the fewest images; steps that need longer are not tried
RATE_SECONDS = 0.3  # for which matrices are multiplied
STEP_EFFICIENCY = 0.5  # of the arithmetic rate of a plain matrix product
MEMORY_MARGIN = 1.15  # of free memory over the estimate, which leaves out what comes and goes
LEAST_SHARE = 0.7  # of the processor's time; steps that got less were held up by other programs
OTHERS_SHARE = 0.15  # of the processor's time that other programs then took at least
PASS_SHARE = 0.25  # of a step of the diffusion branch; measured .24 (tiny32) and .27 (heads64)
INFORMATION_SHARE = 1 / 6  # of a step: a quarter of the images, two forward passes out of three


@dataclass(frozen=True)
class Costs:
    """Counts of a configuration.

    Attributes:
        parameters: of "encoder", "U-Net", "co-pilot" and "objective".
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


@dataclass(frozen=True)
class Memory:
    """Bytes that training holds on one device, by what they are."""

    program: int
    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        """All at once; the measured peak on a CPU was 3 % above it for tiny32, 12 % for cpu64."""
        return sum(astuple(self))


@dataclass(frozen=True)
class Timing:
    """Seconds per step of the whole batch, and what they were taken from.

    Attributes:
        step: an ordinary step.
        copilot_step: a step that trains only the co-pilot.
        image_pass: of one image through the diffusion branch, without learning from it.
        num_images: images per timed step; the batch is a multiple of it in seconds. 0 when no
            step was timed and the seconds follow from the count of operations.
        share: of the processor's time that the timed steps got, in (0, 1]; below 1 only when
            other programs held them up noticeably.
    """

    step: float
    copilot_step: float
    image_pass: float
    num_images: int
    share: float = 1.0


class StepTime(NamedTuple):
    """Mean seconds of a piece of work, and the share of the processor as in `Timing.share`."""

    seconds: float
    share: float


class Speed(NamedTuple):
    """Operations per second, now and when no other program is at work."""

    now: float
    idle: float


def count_costs(config: TrainConfig, num_images: int = 2) -> Costs:
    """Parameters, activations and operations of a step; nothing is computed or allocated.

    Args:
        num_images: size of the data set, which some objectives depend on.
    """
    schedule = NoiseSchedule(config.schedule)
    _ = schedule.alphas_bar  # a table of true numbers, made before tensors become fake
    kept: list[int] = []
    operations: list[int] = []
    alone = replace(config.loop, copilot_only=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        networks = DiffusionAutoencoder(config.model)
        objective = build_objective(config.objective, config.model.latent_dim, num_images)
        losses = TrainingLosses(networks, objective, schedule, config.loop, config.flip)
        for batch in FAKE_BATCHES:
            with FlopCounterMode(display=False) as counter:
                kept.append(kept_bytes(losses, config, batch))
            operations.append(counter.get_total_flops())
        with FlopCounterMode(display=False) as counter:
            kept_bytes(losses, replace(config, loop=alone), FAKE_BATCHES[1])
        copilot_operations = counter.get_total_flops()
    small, large = FAKE_BATCHES
    more = config.loop.copilot_updates - 1
    per_image = (kept[1] - kept[0]) / (large - small)
    parts = {
        "encoder": networks.encoder,
        "U-Net": networks.unet,
        "co-pilot": networks.copilot,
        "objective": objective,
    }
    return Costs(
        parameters={
            name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()
        },
        fixed_bytes=max(0, round(kept[0] - small * per_image)),
        image_bytes=round(per_image),
        operations=STEP_FACTOR * (operations[1] + more * copilot_operations) / large,
        copilot_operations=STEP_FACTOR * (1 + more) * copilot_operations / large,
    )


def kept_bytes(losses: TrainingLosses, config: TrainConfig, batch: int) -> int:
    """Bytes that a forward pass over `batch` images keeps for the backward pass.

    Tensors that share memory count once; parameters do not count.
    """
    model = config.model
    x0 = torch.zeros(batch, model.in_channels, model.image_size, model.image_size)
    part = replace(config, batch_size=batch, accumulation_steps=1)
    draws = draw(part, torch.Generator(), losses.networks.unet.num_skips)
    own = {parameter.untyped_storage()._cdata for parameter in losses.parameters()}
    kept: dict[int, Tensor] = {}  # by address of the memory, which stays taken as long as kept

    def pack(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        losses(x0, draws, *torch.ones(3).unbind(), config.loop.copilot_only)
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)


def estimate_memory(config: TrainConfig, costs: Costs, part_size: int) -> Memory:
    """Memory of a device that computes `part_size` images at a time, without torch.compile."""
    weights = FLOAT_BYTES * costs.num_parameters
    return Memory(
        program=PROGRAM_BYTES,
        weights=weights,
        gradients=weights,
        optimizer=2 * weights,
        average=weights - FLOAT_BYTES * costs.parameters["objective"],
        activations=costs.fixed_bytes + part_size * costs.image_bytes,
    )


def state_bytes(costs: Costs) -> int:
    """Size of one saved state: weights, average and the optimizer's two moments."""
    return 4 * FLOAT_BYTES * costs.num_parameters


def time_step(config: TrainConfig, costs: Costs, part_size: int, device: str, free: int) -> Timing:
    """Do a few true steps on random images and scale them to the whole batch.

    A part of the batch is computed if that fits a budget of a few seconds, else fewer images.
    Where even two images would take too long, or more memory than is free, nothing is tried: the
    seconds then follow from the operations, at half the speed of a matrix product on an idle
    machine. Steps are timed without torch.compile, which takes minutes.

    Args:
        part_size: images the device computes at a time.
        free: bytes of memory the device has left.
    """
    speed = _matrix_speed(device)
    rate = STEP_EFFICIENCY * speed.now
    # some objectives compare the images of a batch with each other, so two where there are two
    least = min(part_size, 2)
    affordable = TIMING_BUDGET / (TIMED_STEPS + 1) * rate  # operations per step
    num_images = min(part_size, max(least, int(affordable / costs.operations)))
    while num_images > least and _exceeds(config, costs, num_images, free):
        num_images = max(least, num_images // 2)
    is_long = least * costs.operations > TIMING_LIMIT / (TIMED_STEPS + 1) * rate
    if is_long or _exceeds(config, costs, num_images, free):
        idle = STEP_EFFICIENCY * speed.idle
        ordinary = costs.operations * config.batch_size / idle
        alone = costs.copilot_operations * config.batch_size / idle
        image_pass = PASS_SHARE * (ordinary - alone) / config.batch_size
        return Timing(alone if config.loop.copilot_only else ordinary, alone, image_pass, 0)
    ordinary, alone = (
        _seconds_per_step(config, num_images, device, copilot_only)
        for copilot_only in (False, True)
    )
    scale = config.batch_size / num_images
    image_pass = PASS_SHARE * max(0.0, ordinary.seconds - alone.seconds) / num_images
    copilot_step = scale * alone.seconds
    if config.loop.copilot_only:
        return Timing(copilot_step, copilot_step, image_pass, num_images, alone.share)
    information = 1 + INFORMATION_SHARE / config.loop.information_every_steps
    step = scale * information * ordinary.seconds
    return Timing(step, copilot_step, image_pass, num_images, ordinary.share)


def count_end_passes(config: TrainConfig, num_evaluated: int) -> int:
    """Passes of one image through the diffusion branch after the last step of a run, at most.

    They are the export's, which ranks the axes, measures directions and quality, and the samples'
    of the report. Every axis counts as a direction; the search of other finders is not counted.

    Args:
        num_judged: images that the quality is measured on.
    """
    num_axes = config.model.latent_dim
    inverted = (BASE_IMAGES + EVALUATION_BASES) * (
        INVERSION_STEPS + 1
    )  # one corrects the last step
    ranked = num_axes * BASE_IMAGES * 2 * DIRECTION_STEPS  # both ways
    measured = num_axes * EVALUATION_BASES * len(MEASURED_AMOUNTS) * DIRECTION_STEPS
    evaluated = num_evaluated * (3 * QUALITY_STEPS + 1)  # inverted, and drawn from two noises
    moved = min(num_axes, samples.NUM_ROWS) * samples.NUM_BASES * len(samples.AMOUNTS)
    shown = samples.NUM_COLUMNS * (3 * samples.NUM_STEPS + 1) + moved * samples.NUM_STEPS
    return inverted + ranked + measured + evaluated + shown


def _exceeds(config: TrainConfig, costs: Costs, num_images: int, free: int) -> bool:
    return MEMORY_MARGIN * estimate_memory(config, costs, num_images).total > free


def obtained_share(own: float, others: float, wall: float, num_threads: int) -> float:
    """Share of the processor's time that steps got of what they wanted, in (0, 1].

    It is 1 unless other programs were at work meanwhile: threads that wait for each other also use
    less than they might.

    Args:
        own: processor seconds of this program.
        others: processor seconds of all other programs.
        wall: seconds that passed.
        num_threads: threads that compute.
    """
    wanted = wall * num_threads
    if wanted <= 0 or others < OTHERS_SHARE * wanted or own >= LEAST_SHARE * wanted:
        return 1.0
    return max(own, 0.01 * wanted) / wanted


def _matrix_speed(device: str, size: int = 768) -> Speed:
    """The speed of a float32 matrix product."""
    matrix = torch.ones(size, size, device=device)

    def multiply() -> None:
        _ = matrix @ matrix
        _synchronise(device)

    multiply()  # the first one loads the library
    timed = _repeat(multiply, device, RATE_SECONDS)
    now = 2 * size**3 / timed.seconds
    return Speed(now, now / timed.share)


def _seconds_per_step(
    config: TrainConfig, num_images: int, device: str, copilot_only: bool
) -> StepTime:
    """The time of a step of `num_images`, after a first one that counts only if it is slow."""
    loop = replace(
        config.loop,
        copilot_only=copilot_only,
        copilot_warmup_steps=0,
        information_every_steps=10**9,
    )
    config = replace(
        config, loop=loop, batch_size=num_images, accumulation_steps=1, use_compile=False
    )
    size, channels = config.model.image_size, config.model.in_channels
    shape = (max(num_images, 2), size, size, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    trainer = Trainer(config, images, device)
    first = _repeat(trainer.train_step, device)
    if first.seconds > TIMING_LIMIT / (TIMED_STEPS + 1):  # a busy machine: nobody waits for more
        return first
    return _repeat(trainer.train_step, device, count=TIMED_STEPS)


def _repeat(
    work: Callable[[], object], device: str, least: float = 0.0, count: int = 1
) -> StepTime:
    """The mean time of doing `work` `count` times, and on until `least` seconds have passed."""
    _synchronise(device)
    began, own, machine = time.perf_counter(), time.process_time(), _busy_seconds()
    done, wall = 0, 0.0
    while done < count or wall < least:
        work()
        done += 1
        wall = time.perf_counter() - began
    _synchronise(device)
    wall, own = time.perf_counter() - began, time.process_time() - own
    share = 1.0
    if not device.startswith("cuda"):
        others = _busy_seconds() - machine - own
        share = obtained_share(own, others, wall, torch.get_num_threads())
    return StepTime(wall / done, share)


def _busy_seconds() -> float:
    """Processor seconds that all programs of the machine have used so far."""
    times = psutil.cpu_times()
    # Linux counts a guest's time in the user's as well
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(times) - sum(getattr(times, name, 0.0) for name in idle)


def _synchronise(device: str) -> None:
    """Wait for a GPU to finish what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
