"""The training loop: steps, feedback, averages, intervals, and a clean end on signals."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality
from comfyui_cldis.model import DiffusionAutoencoder, TrainedNetworks

from ..config.settings import TrainConfig
from ..data import Images
from ..errors import NotFinite, OutputTaken
from . import controller
from . import schedule as run_schedule
from .batches import BatchOrder, step_generator, to_tensor
from .checkpoint import load_state, save_state
from .compiling import why_not_compiled
from .distributed import Mean, memory_format, open_accelerator, part_of_batch
from .ema import POWER_GAMMA, WeightAverage
from .feedback import FeedbackState, UsageMeter, build_feedback, signals
from .feedback.state import observe_loss, observe_usage
from .fingerprint import Fingerprint
from .objectives import build_objective, smallest_batch
from .optimizer import DIFFUSION, match_layout, open_optimizer, set_rates
from .record import TrainingRecord
from .seeded import seeded
from .signals import stop_on_signals
from .step import Draws, Losses, TrainingLosses, draw

STATE_VERSION = 3
# Share of the run, from its first step, over which the weight of L_dt grows from 0: no effect where
# the co-pilot's own warm-up is longer.
DISTILLATION_WARMUP = 0.05
OTHER_IMAGES = "from another set than the run's; training may have seen some"


@dataclass(frozen=True)
class StepLosses:
    """What a step measured, means over the whole batch; the fields as in `TrainingRecord`."""

    diffusion: float
    distillation: float
    reconstruction: float
    bottleneck: float
    penalty: float
    feedback: float
    kl: float
    encoder_kl: float | None
    kl_per_dimension: tuple[float, ...]
    gradient_norm: float
    learning_rate: float
    embedding: float | None = None


class Trainer:
    """A run in progress: networks, average, optimizer and controller state.

    `trained` is the module that is trained, averaged and stored: all of the networks here.

    With several processes (`accelerate launch`) each computes its share of every batch, in as many
    parts as there are accumulation steps. The draws are made for the whole batch, so the result
    depends little on the size of a part. What does: dropout, which draws for a part; the weights of
    the distillation, by the KL of a part; sigma and the side of C, of the parts that are computed
    at the same time; and objectives that compare images (`ObjectiveConfig.compares_images`), which
    see those of a part.

    Args:
        config: the run.
        images: uint8 (n, S, S, C).
        device: where to train, "cpu" or "cuda".
        held_out: images of the same shape that are not trained on, for samples and quality.

    Raises:
        ValueError: fewer than two images, images that do not fit the model, or a batch that the
            processes cannot share evenly, or in parts too small for the objective.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Images,
        device: torch.device | str = "cpu",
        held_out: Images | None = None,
    ) -> None:
        size, channels = config.model.image_size, config.model.in_channels
        if images.ndim != 4 or images.shape[1:] != (size, size, channels) or len(images) < 2:
            raise ValueError(
                f"The images have shape {images.shape}; the model needs (n, {size}, {size}, "
                f"{channels}) with n at least 2. Choose other data or another preset."
            )
        self.config = config
        self.images = images
        self.fingerprint = Fingerprint(images)
        self.held_out = held_out
        self.accelerator = open_accelerator(
            torch.device(device),
            config.precision,
            has_idle_parts=config.objective.name == "qlae",  # it does not use the logvar
        )
        self.device = self.accelerator.device
        self.part_size = part_of_batch(
            config.batch_size,
            self.accelerator.num_processes,
            config.accumulation_steps,
            smallest_batch(config.objective, config.model.latent_dim),
        )
        self.order = BatchOrder(len(images), config.batch_size, config.seed)
        self.schedule = NoiseSchedule(config.schedule)
        self.capacity_course = controller.capacity_course(config.loop, self.schedule)
        self.capacity_shape = controller.posterior_kl_shape(self.schedule)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)
            networks = self.make_networks()
            objective = build_objective(config.objective, config.model.latent_dim, len(images))
            self.mean = Mean(self.accelerator)
            feedback = build_feedback(config, self.mean)
        self.networks = networks.to(self.device)
        self.networks.to(memory_format=memory_format(self.device))  # type: ignore[call-overload]
        self.objective = objective.to(self.device)
        self.feedback = feedback.to(self.device)
        gamma = POWER_GAMMA if config.ema == "power" else None
        self.average = WeightAverage(self.trained, config.ema_decay, gamma)
        self.optimizer = open_optimizer(self.networks, self.objective, self.feedback, config)
        groups = [group["params"] for group in self.optimizer.param_groups]
        self.diffusion_parameters = groups.pop(DIFFUSION)
        self.copilot_parameters = [parameter for group in groups for parameter in group]
        self._module = self.make_losses()
        self.losses: Callable[..., Losses] = self.accelerator.prepare_model(self._module)
        self.control = controller.start(config.loop, self.capacity_course(0.0))
        self.heard = FeedbackState()
        self.meter = UsageMeter(
            config, self.networks, self.schedule, self.accelerator, self.mean, self.part_size
        )
        self.run_schedule = run_schedule.start(config)
        self.step = 0
        self.saved_step: int | None = None  # of the newest readable state in the run's folder
        self.damaged_states: tuple[Path, ...] = ()  # newer ones, which the next state replaces
        self.has_other_images = False  # than the state that was loaded
        self.seconds = 0.0
        self.warm_since = TrainingRecord(0, images=0, seconds=0.0)  # after the first step in `run`

    # -- what an adaptation does otherwise -----------------------------------------------------

    def make_networks(self) -> TrainedNetworks:
        """Networks with fresh weights, from torch's global generator."""
        return DiffusionAutoencoder(self.config.model)

    def make_losses(self) -> TrainingLosses:
        """The losses of a step."""
        return TrainingLosses(*self._loss_parts())

    def _loss_parts(self) -> tuple[Any, ...]:
        config = self.config
        return (
            self.networks,
            self.objective,
            self.feedback,
            self.schedule,
            config.loop,
            config.flip,
            self.mean,
        )

    @property
    def trained(self) -> nn.Module:
        """What is trained, averaged and stored."""
        return self.networks

    @property
    def averaged(self) -> TrainedNetworks:
        """The networks with averaged weights."""
        networks = self.average.module
        assert isinstance(networks, DiffusionAutoencoder)
        return networks

    @property
    def wide_codes(self) -> np.ndarray | None:
        """Codes (n, R) that a backbone gives the images; None without one."""
        return None

    @property
    def export_dtype(self) -> torch.dtype:
        """How the weights of the exported model are stored."""
        return torch.float16

    def describe(self, facts: ModelFacts) -> ModelFacts:
        """The facts of the model with what else this run knows.

        Of images other than the run's, these are words in the data card and in `quality.images`.
        """
        if not self.has_other_images:
            return facts
        card = (
            f"{facts.data_card} These are not the images of the training: statistics, directions "
            "and quality are measured on them."
        )
        return replace(facts, data_card=card, quality=ModelQuality(images=OTHER_IMAGES))

    @property
    def num_skips(self) -> int:
        """Skip connections of the U-Net that training may drop."""
        assert isinstance(self.networks, DiffusionAutoencoder)
        return self.networks.unet.num_skips

    def codes(self, step: int, items: slice, update: int) -> Tensor | None:
        """Wide codes of the images of `batch`, (B, 1 or 2, R), if there is a backbone."""
        return None

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything needed to resume exactly as if never stopped."""
        return {
            "version": STATE_VERSION,
            "data": self.fingerprint.text,
            "step": self.step,
            "seconds": self.seconds,
            "networks": self.trained.state_dict(),
            "objective": self.objective.state_dict(),
            "feedback": self.feedback.state_dict(),
            "average": self.average.module.state_dict(),
            "average_updates": self.average.num_updates,
            "optimizer": self.optimizer.state_dict(),
            "controller": asdict(self.control),
            "run_schedule": asdict(self.run_schedule),
            "heard": asdict(self.heard),
        }

    def load(self, state: dict[str, Any], *, other_images: bool = False) -> None:
        """Continue from what `state` returned; the run's length may be another (`RunSchedule`).

        Raises:
            ValueError: a state of another version of the trainer, or of other images.
        """
        if state.get("version") != STATE_VERSION:
            raise OutputTaken(
                f"The training state has version {state.get('version')}; this trainer reads "
                f"version {STATE_VERSION}.",
                "Resume with the release that wrote it",
            )
        if not other_images:
            check_images(state, self.fingerprint)
        known = state["data"]
        self.has_other_images = self.fingerprint.in_form_of(known) != known
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.trained.load_state_dict(state["networks"])
        self.objective.load_state_dict(state["objective"])
        self.feedback.load_state_dict(state["feedback"])
        self.average.module.load_state_dict(state["average"])
        self.average.num_updates = state["average_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        match_layout(self.optimizer)
        self.control = controller.ControllerState(**state["controller"])
        self.heard = FeedbackState(**state["heard"])
        self.run_schedule = run_schedule.RunSchedule(**state["run_schedule"]).resumed(
            self.config, self.step
        )
        self.config = self.run_schedule.settle(self.config)
        self.optimizer.param_groups[DIFFUSION]["first_step"] = self.config.copilot_warmup_steps

    def resume(self, folder: Path, *, other_images: bool = False) -> list[str] | None:
        """Load the newest readable state in `folder`.

        Args:
            other_images: accept a state of other images, for use without training.

        Returns:
            A sentence per newer state that could not be read; None when there is no state.

        Raises:
            ValueError: as of `load`, or processes that do not see the same folder.
        """
        found = load_state(folder)
        if found is not None:
            state, damaged = found
            self.load(state, other_images=other_images)
            self.saved_step = self.step
            self.damaged_states = tuple(damaged)
        self._check_shared(folder)
        return None if found is None else list(found[1].values())

    def _check_shared(self, folder: Path) -> None:
        """Raise ValueError where the processes of the run are at different steps."""
        if self.accelerator.num_processes == 1:
            return
        gathered = self.accelerator.gather(torch.tensor([self.step], device=self.device))
        assert isinstance(gathered, Tensor)
        steps = gathered.tolist()
        if len({*steps}) > 1:
            raise ValueError(
                f"In the folder {folder} the processes find the run at different steps "
                f"({', '.join(map(str, steps))}), so they do not share it. Give an output folder "
                "that all computers of the run reach."
            )

    # -- one step ------------------------------------------------------------------------------

    def compile(self) -> str:
        """Let the steps to come be compiled, where the settings want it; call it before the first.

        Returns:
            Why they are not, in words for the person who trains; "" when all is as wanted.
        """
        if not self.config.use_compile:
            return ""
        reason = why_not_compiled(self.device)
        if reason:
            return (
                f"Note: torch.compile does not work here ({reason}), so this run trains without "
                "it, more slowly. It needs Triton and a GPU that Triton knows, or on a CPU a C++ "
                "compiler; with these, start the same run again."
            )
        _ = self.schedule.alphas_bar  # made at first use by diffusers, which cannot be traced
        self._module.compile()
        return ""

    def part(self, index: int) -> slice:
        """Items of a step's batch that this process computes as its part `index`."""
        first = self._part_number(index) * self.part_size
        return slice(first, first + self.part_size)

    def _part_number(self, index: int) -> int:
        """Place of this process's part `index` among the parts of all processes."""
        return index * self.accelerator.num_processes + self.accelerator.process_index

    def batch(self, step: int, items: slice | np.ndarray = slice(None), update: int = 0) -> Tensor:
        """Images of one of the updates of `step`, or some of them, (B, C, S, S) in [-1, 1]."""
        indices = self.indices(step, items, update)
        images = self.images[np.sort(indices)][np.argsort(np.argsort(indices))]
        return to_tensor(images, self.device)

    def indices(self, step: int, items: slice | np.ndarray, update: int) -> np.ndarray:
        """Which images those of `batch` are."""
        return self.order.indices(step * self.config.loop.copilot_updates + update)[items]

    def train_step(self) -> StepLosses:
        """Do one optimizer step and return its measurements.

        Raises:
            FloatingPointError: a loss or a gradient is NaN or infinite; the update that it belongs
                to was not made.
        """
        config, loop = self.config, self.config.loop
        set_rates(self.optimizer, self.run_schedule, config, self.step)
        copilot_only = self.step < config.copilot_warmup_steps
        for update in range(1, loop.copilot_updates):
            self._copilot_update(update)
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._backward(copilot_only)
        longest = config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.diffusion_parameters, longest)
        losses = Losses(*(value.cpu() for value in losses))
        gradient_norm = float(norm)
        for what, value in (("A loss", float(losses.total)), ("A gradient", gradient_norm)):
            if not math.isfinite(value):
                raise self._not_finite(what)
        self._check_copilot_gradients()
        self.optimizer.step()
        self.average.update(self.trained)
        kl = float(losses.kl.double().sum())
        encoder_kl = None if copilot_only else float(losses.encoder_kl.double().sum())
        self.control = controller.observe_kl(self.control, loop, kl)
        self.step += 1
        if not copilot_only and config.num_decoded:
            self.heard = observe_loss(self.heard, float(losses.diffusion))
            if self.step % config.feedback.usage_every_steps == 0:
                usage = self.meter.measure(partial(self.batch, self.step - 1), self.step)
                if usage is not None:
                    decay = config.feedback.usage_decay
                    self.heard = observe_usage(self.heard, decay, usage, losses.kl.tolist())
        if self.step % loop.control_every_steps == 0:
            capacity = self.capacity_course(self.run_schedule.progress(self.step))
            self.control = replace(self.control, capacity=capacity)
        return StepLosses(
            diffusion=float(losses.diffusion),
            distillation=float(losses.distillation),
            reconstruction=float(losses.reconstruction),
            bottleneck=float(losses.bottleneck),
            penalty=float(losses.penalty),
            feedback=float(losses.feedback),
            kl=kl,
            encoder_kl=encoder_kl,
            kl_per_dimension=tuple(losses.kl.tolist()),
            gradient_norm=gradient_norm,
            learning_rate=self.optimizer.param_groups[DIFFUSION]["lr"],
            embedding=None if self.wide_codes is None else float(losses.embedding),
        )

    def _copilot_update(self, update: int) -> None:
        """One of the further updates of the co-pilot in a step, on images of its own."""
        self.optimizer.zero_grad(set_to_none=True)  # without gradients the rest is not touched
        losses = self._backward(True, update)
        if not math.isfinite(float(losses.total)):
            raise self._not_finite("A loss of the co-pilot")
        self._check_copilot_gradients()
        self.optimizer.step()
        kl = float(losses.kl.double().sum())
        self.control = controller.observe_kl(self.control, self.config.loop, kl)

    def _check_copilot_gradients(self) -> None:
        """Raise NotFinite for a gradient of the co-pilot, its objective or its feedback."""
        norm = torch.nn.utils.clip_grad_norm_(self.copilot_parameters, math.inf)  # clips nothing
        if not math.isfinite(float(norm)):
            raise self._not_finite("A gradient of the co-pilot")

    def _backward(self, copilot_only: bool, update: int = 0) -> Losses:
        """Compute the gradients of this step's batch; return its losses, means over all of it."""
        config, loop = self.config, self.config.loop
        draws = self._draw(update)
        progress = self.run_schedule.progress(self.step)
        weight = loop.distillation_weight * min(1.0, progress / DISTILLATION_WARMUP)
        settings = [self.control.kl_weight, self.control.capacity, weight]
        scalars = torch.tensor(settings, device=self.device).unbind()
        heard = signals(self.heard, config, progress, self.capacity_shape).to(self.device)
        num_parts = config.accumulation_steps
        total: Losses | None = None
        for index in range(num_parts):
            items = self.part(index)
            x0 = self.batch(self.step, items, update)
            is_shared = index == num_parts - 1 and not copilot_only
            with nullcontext() if is_shared else self.accelerator.no_sync(self.losses):
                given = draws.part(items, self.device)
                codes = None if copilot_only else self.codes(self.step, items, update)
                with self._seeded(update, index):
                    parts = self.losses(x0, given, *scalars, heard, copilot_only, codes)
                self.accelerator.backward(parts.total / num_parts)
            total = parts.values() if total is None else total.plus(parts.values())
        assert total is not None
        if copilot_only:
            self.mean.of_gradients(
                p for group in self.optimizer.param_groups for p in group["params"]
            )
        return Losses(*self.mean.of_all(total.divided_by(num_parts)))

    def _draw(self, update: int) -> Draws:
        """An update's draws: on a GPU made there, since noise for a batch is slow on a CPU."""
        generator = step_generator(self.config.seed, self.step, _stream(update), self.device)
        return draw(self.config, generator, self.num_skips)

    def _seeded(self, update: int, index: int) -> AbstractContextManager[None]:
        """Seeds what layers draw for themselves, such as dropout, in part `index` of an update."""
        number = self._part_number(index)
        return seeded(self.config.seed, self.step, _stream(update), number, self.device)

    def _not_finite(self, what: str) -> NotFinite:
        return NotFinite(f"{what} is not finite at step {self.step}.")

    # -- the loop ------------------------------------------------------------------------------

    def run(
        self,
        folder: Path,
        on_log: Callable[[TrainingRecord], None],
        on_sample: Callable[[Trainer], object] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Train to the end of the run, saving states in `folder`; True when it got there.

        SIGINT, SIGTERM, SIGHUP or `should_stop` end it after the step in progress, with the state
        saved; False as well when a signal came in the last step, so that what follows is not begun.
        Only the main process writes and calls back.

        The first step loads libraries and may compile, so the speed shows from `warm_since` on.
        """
        config = self.config
        first = self.step
        is_main = self.accelerator.is_main_process
        with stop_on_signals() as stop:
            while self.step < config.steps:
                if self._agree(stop.requested or bool(should_stop is not None and should_stop())):
                    break
                began = time.perf_counter()
                measured = self.train_step()
                self.seconds += time.perf_counter() - began
                if self.step == first + 1:
                    images = self.step * config.batch_size
                    self.warm_since = TrainingRecord(self.step, images=images, seconds=self.seconds)
                if not is_main:
                    continue
                if self.step % config.log_every_steps == 0 or self.step == config.steps:
                    on_log(self.record(measured))
                if self.step % config.save_every_steps == 0:
                    self._save(folder)
                interval = config.sample_every_steps
                if on_sample is not None and interval and self.step % interval == 0:
                    on_sample(self)
            if is_main and self.step != self.saved_step:
                self._save(folder)
            return self.step >= config.steps and not self._agree(stop.requested)

    def _save(self, folder: Path) -> None:
        save_state(folder, self.state(), self.config.keep_states, self.damaged_states)
        self.saved_step, self.damaged_states = self.step, ()

    def _agree(self, stop: bool) -> bool:
        """Whether any process wants to stop."""
        if self.accelerator.num_processes == 1:
            return stop
        if stop:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def record(self, losses: StepLosses) -> TrainingRecord:
        """The record of the step just done, rounded as it is kept."""
        rounded: dict[str, Any] = {
            name: round(value, 6) for name, value in vars(losses).items() if type(value) is float
        }
        rounded["kl_per_dimension"] = tuple(round(value, 4) for value in losses.kl_per_dimension)
        return TrainingRecord(
            step=self.step,
            planned_steps=self.run_schedule.planned,
            is_warmup=self.step <= self.config.copilot_warmup_steps < self.config.steps,
            images=self.step * self.config.batch_size,
            seconds=round(self.seconds, 2),
            **rounded,
            capacity=round(self.control.capacity, 4),
            kl_weight=round(self.control.kl_weight, 4),
            usage_per_dimension=tuple(round(value, 3) for value in self.heard.usage) or None,
            used=None if self.heard.used is None else round(self.heard.used, 4),
        )


def check_images(state: dict[str, Any], images: Fingerprint) -> None:
    """Raises: OutputTaken for images that are not those of a state's run."""
    then = state["data"]
    now = images.in_form_of(then)
    if then != now:
        raise OutputTaken(
            f"The images are not those the run was started with ({then} then, {now} now).",
            "Restore them",
        )


def _stream(update: int) -> int:
    """Of a step's random numbers, for an update; 1 belongs to the measurement of the usage."""
    return update + 1 if update else 0
