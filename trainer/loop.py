"""The training loop: steps, feedback, averages, intervals, and a clean end on signals."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.model import DiffusionAutoencoder

from . import controller
from .batches import BatchOrder, step_generator, to_tensor
from .config import TrainConfig
from .ema import WeightAverage
from .losses import gaussian_kl
from .state import load_state, save_state
from .step import Draws, Losses, copilot_losses, draw, losses, measure_information

LEARNING_RATE_FLOOR = 0.1


def rate_factor(config: TrainConfig, step: int, first_step: int = 0) -> float:
    """Factor on a learning rate: warm-up from `first_step`, plateau, cosine fall to a tenth."""
    done = max(0, step - first_step) + 1
    warm = min(1.0, done / config.warmup_steps) if config.warmup_steps else 1.0
    start = config.steps * (1 - config.decay_fraction)
    if step <= start or config.decay_fraction <= 0:
        return warm
    share = min(1.0, (step - start) / (config.steps - start))
    fall = 0.5 * (1 + math.cos(math.pi * share))
    return warm * (LEARNING_RATE_FLOOR + (1 - LEARNING_RATE_FLOOR) * fall)


@dataclass
class Stop:
    """Set by a signal: finish the step, save, and end."""

    requested: bool = False


@contextmanager
def stop_on_signals():
    """Turn SIGINT and SIGTERM into a request; handlers are restored at the end."""
    stop = Stop()

    def request(number: int, frame: Any) -> None:
        stop.requested = True

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, request)
        except ValueError:  # not in the main thread: the caller has other means to stop
            break
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Trainer:
    """A run in progress: networks, average, optimizer and controller state.

    Args:
        config: the run.
        images: uint8 (n, S, S, C).
        device: where to train.

    Raises:
        ValueError: fewer than two images, or images that do not fit the model.
    """

    def __init__(
        self, config: TrainConfig, images: np.ndarray, device: torch.device | str = "cpu"
    ) -> None:
        size, channels = config.model.image_size, config.model.in_channels
        if images.ndim != 4 or images.shape[1:] != (size, size, channels) or len(images) < 2:
            raise ValueError(
                f"The images have shape {images.shape}; the model needs (n, {size}, {size}, "
                f"{channels}) with n at least 2. Choose other data or another preset."
            )
        self.config = config
        self.images = images
        self.device = torch.device(device)
        self.order = BatchOrder(len(images), config.batch_size, config.seed)
        self.schedule = NoiseSchedule(config.schedule)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            networks = DiffusionAutoencoder(config.model)
        self.networks = networks.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(self.networks, config.ema_decay)
        copilot = list(self.networks.copilot.parameters())
        own = {id(parameter) for parameter in copilot}
        self.diffusion_parameters = [p for p in self.networks.parameters() if id(p) not in own]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": self.diffusion_parameters, "base": config.learning_rate},
                {"params": copilot, "base": config.copilot_learning_rate, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.control = controller.start(config.loop)
        self.step = 0
        self.seconds = 0.0
        self.orthogonal = self.direct = 0.0
        self._losses: Callable[..., Losses] = losses
        if config.use_compile:
            self._losses = torch.compile(losses)

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly as if never stopped."""
        return {
            "version": 1,
            "step": self.step,
            "seconds": self.seconds,
            "networks": self.networks.state_dict(),
            "average": self.average.module.state_dict(),
            "average_updates": self.average.num_updates,
            "optimizer": self.optimizer.state_dict(),
            "controller": asdict(self.control),
            "information": [self.orthogonal, self.direct],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.networks.load_state_dict(state["networks"])
        self.average.module.load_state_dict(state["average"])
        self.average.num_updates = state["average_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.control = controller.ControllerState(**state["controller"])
        self.orthogonal, self.direct = state["information"]

    def resume(self, folder: Path) -> bool:
        """Load the state in `folder` if there is one; True when it did."""
        state = load_state(folder)
        if state is not None:
            self.load(state)
        return state is not None

    # -- one step ------------------------------------------------------------------------------

    def batch(self, step: int) -> Tensor:
        """Images of `step`, (B, C, S, S) in [-1, 1]."""
        indices = self.order.indices(step)
        images = self.images[np.sort(indices)][np.argsort(np.argsort(indices))]
        return to_tensor(images, self.device)

    def train_step(self) -> dict[str, Any]:
        """Do one optimizer step and return its measurements.

        Raises:
            FloatingPointError: a loss is NaN or infinite; nothing was updated.
        """
        config, loop = self.config, self.config.loop
        generator = step_generator(config.seed, self.step)
        x0 = self.batch(self.step)
        draws = draw(config, generator).to(self.device)
        progress = self.step / config.steps
        first_steps = (config.copilot_warmup_steps, 0)  # of the diffusion branch and the co-pilot
        for group, first in zip(self.optimizer.param_groups, first_steps, strict=True):
            group["lr"] = group["base"] * rate_factor(config, self.step, first)
        warming_up = self.step < config.copilot_warmup_steps
        parts = self._warmup_losses(x0, draws) if warming_up else self._joint(x0, draws)
        kl = parts.kl.sum()
        warmup = max(loop.distillation_warmup, 1e-9)
        weight = loop.distillation_weight * min(1.0, progress / warmup)
        bottleneck = self.control.kl_weight * kl
        total = parts.diffusion + weight * parts.distillation + parts.reconstruction + bottleneck
        if not bool(torch.isfinite(total)):
            raise self._not_finite("A loss")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.diffusion_parameters, config.clip_norm)
        if not bool(torch.isfinite(norm)):
            raise self._not_finite("A gradient")
        self.optimizer.step()
        self.average.update(self.networks)
        self.control = controller.observe_kl(self.control, float(kl.detach()))
        self.step += 1
        if not warming_up and self.step % loop.information_every_steps == 0:
            self._observe_information(x0, float(parts.encoder_kl.detach().sum()))
        if self.step % loop.control_every_steps == 0:
            self.control = controller.update_capacity(self.control, loop, self.step / config.steps)
        return {
            "diffusion": float(parts.diffusion.detach()),
            "distillation": float(parts.distillation.detach()),
            "reconstruction": float(parts.reconstruction.detach()),
            "kl": float(kl.detach()),
            "encoder_kl": float(parts.encoder_kl.detach().sum()),
            "kl_per_dimension": [round(v, 4) for v in parts.kl.detach().tolist()],
            "gradient_norm": float(norm),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }

    def _not_finite(self, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"{what} is not finite at step {self.step}; the last saved state is kept. Start a new "
            "--output with a lower learning_rate in a copy of the preset, or another --seed."
        )

    def _joint(self, x0: Tensor, draws: Draws) -> Losses:
        return self._losses(self.networks, self.schedule, self.config.loop, x0, draws)

    def _warmup_losses(self, x0: Tensor, draws: Draws) -> Losses:
        reconstruction, kl, mu, logvar = copilot_losses(self.networks, x0, draws.copilot_noise)
        zero = torch.zeros((), device=x0.device)
        return Losses(zero, zero, reconstruction, kl, gaussian_kl(mu, logvar).detach())

    def _observe_information(self, x0: Tensor, encoder_kl: float) -> None:
        quarter = max(1, len(x0) // 4)
        generator = step_generator(self.config.seed, self.step, stream=1)
        self.orthogonal, self.direct = measure_information(
            self.networks, self.schedule, x0[:quarter], generator
        )
        self.control = controller.observe_information(
            self.control, self.orthogonal, self.direct, encoder_kl
        )

    # -- the loop ------------------------------------------------------------------------------

    def run(
        self,
        folder: Path,
        on_log: Callable[[dict[str, Any]], None],
        on_sample: Callable[[Trainer], object] | None = None,
    ) -> bool:
        """Train to the end of the run, saving states in `folder`; True when it got there."""
        config = self.config
        with stop_on_signals() as stop:
            while self.step < config.steps and not stop.requested:
                began = time.perf_counter()
                measured = self.train_step()
                self.seconds += time.perf_counter() - began
                if self.step % config.log_every_steps == 0 or self.step == config.steps:
                    on_log(self.record(measured))
                if self.step % config.save_every_steps == 0:
                    save_state(folder, self.state())
                interval = config.sample_every_steps
                if on_sample is not None and interval and self.step % interval == 0:
                    on_sample(self)
            save_state(folder, self.state())
        return self.step >= config.steps

    def record(self, measured: dict[str, Any]) -> dict[str, Any]:
        """One line of the statistics file."""
        return {
            "step": self.step,
            "images": self.step * self.config.batch_size,
            "seconds": round(self.seconds, 2),
            **{k: round(v, 6) if isinstance(v, float) else v for k, v in measured.items()},
            "capacity": round(self.control.capacity, 4),
            "kl_weight": round(self.control.kl_weight, 4),
            "information": round(self.control.information, 4),
            "information_orthogonal": round(self.orthogonal, 4),
            "information_direct": round(self.direct, 4),
            "used": round(self.control.used, 4),
        }
