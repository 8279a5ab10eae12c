"""Torch's own generators, from which dropout draws, seeded for one pass of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(
    seed: int, step: int, stream: int, part: int, device: torch.device | str = "cpu"
) -> Iterator[None]:
    """Within, torch's generators of the CPU and of `device` depend on the numbers given alone.

    Afterwards they are as they were before, also when an error ends it.

    Args:
        stream: as of `batches.step_generator`, whose numbers are others.
        part: of the whole batch, counted over all processes, so that each has masks of its own.
    """
    entropy = np.random.SeedSequence([seed, step, stream], spawn_key=(part,))
    high, low = entropy.generate_state(2, np.uint32)
    number = int(high) << 32 | int(low)
    gpus = _gpus(torch.device(device))
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(number)
        for index in gpus:
            torch.cuda.default_generators[index].manual_seed(number)
        yield


def _gpus(device: torch.device) -> list[int]:
    """The GPU that is meant, in a list; none for a CPU."""
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]
