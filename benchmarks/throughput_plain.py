"""The loop that throughput is compared with: the usual one of a research repository.

float32, contiguous memory, AdamW with its default settings, the weight average parameter by
parameter, each loss read out at each step. Networks, losses and batch are those of the trainer.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.model import DiffusionAutoencoder
from trainer.config.settings import TrainConfig
from trainer.training.batches import step_generator
from trainer.training.feedback import build_feedback, neutral
from trainer.training.objectives import build_objective
from trainer.training.step import TrainingLosses, draw


class PlainLoop:
    """Trains the same model as `trainer.training.trainer.Trainer`, without its bookkeeping."""

    def __init__(self, config: TrainConfig, images: np.ndarray, device: str) -> None:
        self.config = config
        self.images = images
        self.device = torch.device(device)
        self.networks = DiffusionAutoencoder(config.model).to(self.device)
        objective = build_objective(config.objective, config.model.latent_dim, len(images))
        objective.to(self.device)
        feedback = build_feedback(config)
        signals = neutral(config.model.latent_dim, config.schedule.num_train_steps)
        self.signals = signals.to(self.device)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.losses = TrainingLosses(
            self.networks, objective, feedback, NoiseSchedule(config.schedule), config.loop
        )
        self.optimizer = torch.optim.AdamW(
            self.losses.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.step = 0

    def train_step(self) -> dict[str, float]:
        """One step; the mean of each loss term."""
        config = self.config
        chosen = np.random.default_rng(self.step).choice(len(self.images), config.batch_size)
        images = torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2).contiguous()
        x0 = images.to(self.device).float() / 127.5 - 1.0
        generator = step_generator(0, self.step, device=self.device)
        draws = draw(config, generator, self.networks.unet.num_skips)
        draws = draws._replace(eps=draws.eps.contiguous())
        kl_weight, capacity, distillation_weight = torch.tensor(
            [1.0, 5.0, config.loop.distillation_weight], device=self.device
        )
        losses = self.losses(
            x0, draws, kl_weight, capacity, distillation_weight, self.signals, False
        )
        self.optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), config.clip_norm or math.inf)
        self.optimizer.step()
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.networks.parameters(), strict=True)
            for average, weight in pairs:
                average.mul_(config.ema_decay).add_(weight, alpha=1 - config.ema_decay)
        self.step += 1
        return {name: value.mean().item() for name, value in losses._asdict().items()}
