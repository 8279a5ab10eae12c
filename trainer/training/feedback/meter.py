"""Measures the usage in the course of a run, over all its processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.model import TrainedNetworks

from ...config.settings import TrainConfig
from ..batches import step_generator
from ..distributed import Mean
from .usage import draw_usage, measure_losses, usage_of

STRIDE = 4  # every fourth image of a batch is measured, but two at least
STREAM = 1  # of a step's random numbers


def measured_items(batch_size: int, num_decoded: int) -> np.ndarray:
    """Places in a batch of the images that are measured; one alone has none to borrow from.

    Args:
        num_decoded: images of the batch that a step decodes; no more are measured, but two.
    """
    items = np.arange(0, batch_size, min(STRIDE, max(1, batch_size - 1)))
    return items[: max(2, num_decoded)]


class Passes(NamedTuple):
    """Passes of single images through encoder and decoder, without gradients."""

    encoder: float
    decoder: float


def usage_passes(config: TrainConfig) -> Passes:
    """What measuring the usage adds to a step that trains both branches, on average."""
    count = len(measured_items(config.batch_size, config.num_decoded))
    if count < 2 or not config.num_decoded:
        return Passes(0.0, 0.0)
    share = count / config.feedback.usage_every_steps
    return Passes(2 * share, (config.model.latent_dim + 1) * share)


@contextmanager
def without_dropout(networks: nn.Module) -> Iterator[None]:
    """Within, all layers are as they are in use; afterwards each is in the mode it was in."""
    modes = [(module, module.training) for module in networks.modules()]
    networks.train(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class UsageMeter:
    """Usage on a quarter of a batch (`measured_items`), which the processes of a run share.

    Args:
        part_size: images that a process computes at a time.
    """

    def __init__(
        self,
        config: TrainConfig,
        networks: TrainedNetworks,
        schedule: NoiseSchedule,
        accelerator: Accelerator,
        mean: Mean,
        part_size: int,
    ) -> None:
        self.config = config
        self.networks = networks
        self.schedule = schedule
        self.accelerator = accelerator
        self.mean = mean
        self.part_size = part_size

    @torch.no_grad()
    def measure(self, images_of: Callable[[np.ndarray], Tensor], step: int) -> list[float] | None:
        """(N,) nats, see `usage`; None for batches of one image, which tell nothing.

        Dropout is off meanwhile: masks that differ between the predictions would count as usage.

        Args:
            images_of: some items of the step's batch, (b, C, S, S).
        """
        chosen = measured_items(self.config.batch_size, self.config.num_decoded)
        if len(chosen) < 2:
            return None
        with without_dropout(self.networks):
            return self._measure(images_of(chosen), step)

    def _measure(self, images: Tensor, step: int) -> list[float]:
        """The usage of a step on its measured images (n, C, S, S), n at least 2."""
        config, accelerator, count = self.config, self.accelerator, len(images)
        draws = draw_usage(
            count,
            images.shape[1:],
            config.schedule.num_train_steps,
            step_generator(config.seed, step, STREAM),
        )
        with accelerator.autocast():
            codes = self.networks.encode_semantic(images).mu
        sums = torch.zeros(codes.shape[1] + 1, device=images.device)
        for begin in range(0, count, self.part_size * accelerator.num_processes):
            first = begin + accelerator.process_index * self.part_size
            if first >= count:
                continue
            part = slice(first, first + self.part_size)
            with accelerator.autocast():
                sums += measure_losses(
                    self.networks, self.schedule, images[part], codes, first, draws.part(part)
                )
        losses = self.mean(sums) * accelerator.num_processes / count
        return usage_of(losses.tolist(), images[0].numel())
