"""Which images make up a step: a fresh permutation per epoch, a function of (seed, step) alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from comfyui_cldis.imaging.tensors import from_pixels

from .distributed import memory_format


class BatchOrder:
    """Indices of each step's images; resuming at a step needs no stored position."""

    def __init__(self, num_images: int, batch_size: int, seed: int) -> None:
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def indices(self, step: int) -> np.ndarray:
        """The `batch_size` indices of `step`; a batch may straddle two epochs."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        chosen = np.empty(self.batch_size, dtype=np.int64)
        for epoch in np.unique(positions // self.num_images):
            inside = positions // self.num_images == epoch
            chosen[inside] = self._permutation(int(epoch))[positions[inside] % self.num_images]
        return chosen

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(self.num_images)
            self._epoch = epoch
        return self._order


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (B, S, S, C) -> float32 (B, C, S, S) in [-1, 1], laid out as the device wants it."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return from_pixels(pixels).contiguous(memory_format=memory_format(device))


def step_generator(
    seed: int, step: int, stream: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator that depends on (seed, step, stream) alone; a GPU draws other numbers."""
    entropy = np.random.SeedSequence([seed, step, stream]).generate_state(2, np.uint32)
    return torch.Generator(device).manual_seed(int(entropy[0]) << 32 | int(entropy[1]))
