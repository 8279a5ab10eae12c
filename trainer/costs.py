"""What a step of training costs: parameters, memory and arithmetic counted, seconds timed.

The counts come from a forward pass over fake tensors, which have shapes and types but no numbers,
so a model larger than this machine is counted as well.
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, replace
from math import gcd

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.model import DiffusionAutoencoder

from .config import TrainConfig
from .loop import Trainer
from .objectives import build_objective
from .step import TrainingLosses, draw

GIB = 2**30
FLOAT_BYTES = 4
PROGRAM_BYTES = 400 * 2**20  # Python, PyTorch and what they load; a CUDA context is about as large
FAKE_BATCHES = (2, 4)
STEP_FACTOR = 3  # a backward pass computes two products for each one of the forward pass
TIMED_STEPS = 2
TIMING_BUDGET = 6.0  # seconds for the timed steps and the one before them
STEP_EFFICIENCY = 0.5  # of the arithmetic rate of a plain matrix product
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
    """

    parameters: dict[str, int]
    fixed_bytes: int
    image_bytes: int
    operations: float

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
        num_images: images per timed step; the batch is a multiple of it in seconds.
        narrowing: how many times narrower the timed networks were; 1 for the true ones.
    """

    step: float
    copilot_step: float
    num_images: int
    narrowing: int


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


def time_step(config: TrainConfig, costs: Costs, part_size: int, device: str) -> Timing:
    """Do a few true steps on random images and scale them to the whole batch.

    A part of the batch is computed if that fits a budget of a few seconds, else fewer images;
    a network too slow for one image is timed at a fraction of its width, and its seconds are
    scaled by the operations. Steps are timed without torch.compile, which takes minutes.

    Args:
        part_size: images the device computes at a time.
    """
    rate = STEP_EFFICIENCY * _matrix_rate(device)
    affordable = TIMING_BUDGET / (TIMED_STEPS + 1) * rate  # operations per step
    narrowing, timed, operations = 1, config, costs.operations
    while operations > affordable and narrowing < 16:
        narrowing *= 2
        timed = _narrow(config, narrowing)
        operations = count_costs(timed).operations
    fitting = max(1, int(affordable / operations))
    # some objectives compare the images of a batch with each other, so two where there are two
    num_images = min(part_size, max(2, fitting))
    scale = costs.operations / operations * config.batch_size / num_images
    ordinary, alone = (
        scale * _seconds_per_step(timed, num_images, device, copilot_only)
        for copilot_only in (False, True)
    )
    if config.loop.copilot_only:
        return Timing(alone, alone, num_images, narrowing)
    ordinary *= 1 + INFORMATION_SHARE / config.loop.information_every_steps
    return Timing(ordinary, alone, num_images, narrowing)


def _matrix_rate(device: str, size: int = 768) -> float:
    """Operations per second of a float32 matrix product, best of a few."""
    matrix = torch.ones(size, size, device=device)
    seconds = []
    for _ in range(4):
        _synchronise(device)
        began = time.perf_counter()
        _ = matrix @ matrix
        _synchronise(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def _narrow(config: TrainConfig, factor: int) -> TrainConfig:
    """The same run with networks of 1 / factor of the width, 8 channels at least."""
    model = config.model

    def narrow(width: int) -> int:
        return max(8, width // factor // 8 * 8)

    width = narrow(model.decoder.base_channels)
    heads = gcd(model.decoder.num_heads, width)
    narrowed = replace(
        model,
        encoder=replace(model.encoder, base_channels=narrow(model.encoder.base_channels)),
        decoder=replace(model.decoder, base_channels=width, num_heads=heads),
        copilot=replace(model.copilot, base_channels=narrow(model.copilot.base_channels)),
    )
    return replace(config, model=narrowed)


def _seconds_per_step(
    config: TrainConfig, num_images: int, device: str, copilot_only: bool
) -> float:
    """Mean seconds of a step of `num_images`, after one that is not counted."""
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
    trainer.train_step()
    _synchronise(device)
    began = time.perf_counter()
    for _ in range(TIMED_STEPS):
        trainer.train_step()
    _synchronise(device)
    return (time.perf_counter() - began) / TIMED_STEPS


def _synchronise(device: str) -> None:
    """Wait for a GPU to finish what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
