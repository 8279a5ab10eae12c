"""One training step of the closed loop: what is drawn, and all loss terms by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.model import DiffusionAutoencoder, SemanticPosterior, TrainedNetworks

from ..config.settings import LoopConfig, TrainConfig
from .distributed import memory_format
from .feedback import Feedback, Signals
from .interaction import interaction
from .losses import (
    Average,
    alone,
    bottleneck,
    distillation,
    gaussian_kl,
    gaussian_nll,
    image_weight,
    shared_variance,
)
from .objectives import CopilotCode, Objective, ObjectiveDraws

RESIDUAL_DROPOUT = 0.5  # probability that an item gets no residual code
FREE_BITS = 0.05  # nats at which a dimension of the co-pilot counts half in the distillation


class Draws(NamedTuple):
    """Everything random in a step, drawn from the step's own generator; first axis: items."""

    t: Tensor
    eps: Tensor
    code_noise: Tensor
    copilot_noise: Tensor
    copilot_uniform: Tensor
    keep: Tensor
    keep_residual: Tensor
    keep_skips: Tensor
    flip: Tensor
    chosen: Tensor
    decoded: Tensor
    exchanged: Tensor

    def part(self, items: slice, device: torch.device) -> Draws:
        """The draws of some items, on a device."""
        return Draws(*(value[items].to(device, non_blocking=True) for value in self))

    def only(self, items: Tensor) -> Draws:
        """The draws of the items that are marked, (B,) bool."""
        return Draws(*(value[items] for value in self))


class Losses(NamedTuple):
    """Loss terms of a step and what the controller needs.

    total: what is minimised. diffusion: weighted squared error, mean per element. distillation:
    nats per dimension. reconstruction, bottleneck, penalty, feedback: nats per image. embedding:
    of an adaptation, squared error of the normalised wide code, mean per scalar; else 0. kl,
    encoder_kl: (N,) nats per dimension, batch mean; the second is 0 where only the co-pilot is
    trained, as diffusion, distillation and embedding are.
    """

    total: Tensor
    diffusion: Tensor
    distillation: Tensor
    reconstruction: Tensor
    bottleneck: Tensor
    penalty: Tensor
    feedback: Tensor
    embedding: Tensor
    kl: Tensor
    encoder_kl: Tensor

    def values(self) -> Losses:
        """The same in float32, without gradients."""
        return Losses(*(value.detach().float() for value in self))

    def plus(self, other: Losses) -> Losses:
        """The sum of each term with the other's."""
        return Losses(*(a + b for a, b in zip(self, other, strict=True)))

    def divided_by(self, count: int) -> Losses:
        """Each term divided by a number."""
        return Losses(*(value / count for value in self))


class BranchLosses(NamedTuple):
    """Loss terms of the diffusion branch, as in `Losses`, and the encoder's posterior.

    total: their weighted sum.
    """

    total: Tensor
    diffusion: Tensor
    embedding: Tensor
    posterior: SemanticPosterior


def draw(config: TrainConfig, generator: torch.Generator, num_skips: int) -> Draws:
    """Draw the timesteps (stratified), noises and dropout masks of a step's whole batch.

    Raises nothing; all tensors lie on the generator's device.
    """
    model, loop, b = config.model, config.loop, config.batch_size
    on = {"generator": generator, "device": generator.device}
    strata = (torch.randperm(b, **on) + torch.rand(b, **on)) / b
    total = config.schedule.num_train_steps
    shape = (b, model.in_channels, model.image_size, model.image_size)
    return Draws(
        t=(strata * total).long().clamp(max=total - 1),
        eps=torch.randn(shape, **on).contiguous(memory_format=memory_format(generator.device)),
        code_noise=torch.randn(b, model.latent_dim, **on),
        copilot_noise=torch.randn(b, model.latent_dim, **on),
        copilot_uniform=torch.rand(b, model.latent_dim, **on),
        keep=torch.rand(b, **on) >= loop.code_dropout,
        keep_residual=torch.rand(b, **on) >= RESIDUAL_DROPOUT,
        keep_skips=torch.rand(b, num_skips, **on) >= loop.skip_dropout,
        flip=torch.rand(b, **on) < (0.5 if config.flip else 0.0),
        chosen=evenly_chosen(b, config.feedback.share).to(generator.device),
        decoded=torch.arange(b, device=generator.device) < config.num_decoded,
        exchanged=torch.rand(b, model.latent_dim, **on) < 0.5,
    )


def evenly_chosen(count: int, share: float) -> Tensor:
    """(count,) bool: `share` of the items, spread evenly."""
    marks = (torch.arange(count + 1, dtype=torch.float64) * share).floor()
    return marks[1:] > marks[:-1]


class TrainingLosses(nn.Module):
    """Networks, objective and feedback under one forward, to be distributed or compiled as one.

    Args:
        flip: mirror the images that the draws choose.
        average: mean of a detached value over all processes.
    """

    def __init__(
        self,
        networks: TrainedNetworks,
        objective: Objective,
        feedback: Feedback,
        schedule: NoiseSchedule,
        loop: LoopConfig,
        flip: bool = False,
        average: Average = alone,
    ) -> None:
        super().__init__()
        self.networks = networks
        self.objective = objective
        self.feedback = feedback
        self.schedule = schedule
        self.loop = loop
        self.flip = flip
        self.average = average

    def forward(
        self,
        x0: Tensor,
        draws: Draws,
        kl_weight: Tensor,
        capacity: Tensor,
        distillation_weight: Tensor,
        signals: Signals,
        copilot_only: bool,
        codes: Tensor | None = None,
    ) -> Losses:
        """All loss terms for images x0 (B, C, S, S) in [-1, 1].

        Args:
            codes: wide codes (B, 1 or 2, R) of the images as they are and mirrored, where a
                backbone that is not trained gives them.

        The prior KL is kept off the diffusion branch on purpose: a diffusion decoder models p(x)
        without z as well, and the code would collapse (docs/method.md).
        """
        networks, loop = self.networks, self.loop
        if self.flip:
            x0 = torch.where(draws.flip[:, None, None, None], x0.flip(-1), x0)
        copilot = networks.copilot
        small = copilot.resize(x0)
        mu, logvar = copilot.encode(small)
        objective_draws = ObjectiveDraws(draws.copilot_noise, draws.copilot_uniform)
        code = self.objective(mu, logvar, objective_draws)
        image = copilot.decode(code.z)
        reconstruction = gaussian_nll(image, small, self.average)
        kl = (signals.kl_weights * code.kl).sum()
        held = bottleneck(kl, loop.bottleneck, kl_weight, capacity, self.average)
        price = 1.0 if loop.bottleneck == "distance" else kl_weight
        penalty = code.penalty + price * code.kl_penalty
        penalty = penalty + self.interaction(code.z, image, small, draws.exchanged)
        heard = self.feedback.loss(code, small, draws.chosen, signals, not copilot_only)
        copilot_total = reconstruction + held + penalty + heard
        zero = torch.zeros((), device=x0.device)
        if copilot_only:
            of_encoder = torch.zeros_like(code.kl)
            terms = (reconstruction, held, penalty, heard, zero, code.kl, of_encoder)
            return Losses(copilot_total, zero, zero, *terms)
        branch = self.diffusion_branch(x0, draws, code, signals, codes)
        posterior = branch.posterior
        distilled = distillation(
            posterior.mu,
            posterior.logvar,
            code.mu,
            code.logvar,
            code.kl,
            FREE_BITS,
            loop.distillation_error_variance,
            loop.distillation_gradient_share,
        )
        return Losses(
            total=copilot_total + branch.total + distillation_weight * distilled,
            diffusion=branch.diffusion,
            distillation=distilled,
            reconstruction=reconstruction,
            bottleneck=held,
            penalty=penalty,
            feedback=heard,
            embedding=branch.embedding,
            kl=code.kl,
            encoder_kl=gaussian_kl(posterior.mu, posterior.logvar),
        )

    def interaction(self, z: Tensor, image: Tensor, target: Tensor, exchanged: Tensor) -> Tensor:
        """The weighted penalty of the co-pilot's decoder, nats per image: ()."""
        weight = self.objective.interaction_weight
        if weight == 0:
            return torch.zeros((), device=z.device)
        variance = shared_variance((image.float() - target.float()).square().mean(), self.average)
        decode = self.networks.copilot.decode
        return weight * interaction(decode, z, image, exchanged, variance)

    def diffusion_branch(
        self,
        x0: Tensor,
        draws: Draws,
        code: CopilotCode,
        signals: Signals,
        codes: Tensor | None,
    ) -> BranchLosses:
        """Encoder and decoder on all images; see `forward`."""
        networks, loop = self.networks, self.loop
        assert isinstance(networks, DiffusionAutoencoder)
        posterior = networks.encode_semantic(x0)
        z = posterior.sample(draws.code_noise)
        z = self.feedback.condition(z, code, draws.chosen, draws.t, signals)
        residual = posterior.residual
        if residual is not None:
            residual = residual * draws.keep_residual[:, None]
        x_t = self.schedule.add_noise(x0, draws.eps, draws.t)
        keep_skips = draws.keep_skips if loop.skip_dropout else None
        prediction = networks.predict(x_t, draws.t, z, residual, draws.keep, keep_skips)
        diffusion = self.errors(prediction, x0, draws).mean()
        return BranchLosses(diffusion, diffusion, torch.zeros_like(diffusion), posterior)

    def errors(self, prediction: Tensor, x0: Tensor, draws: Draws) -> Tensor:
        """Weighted squared error of each image, mean per element: (B,)."""
        target = self.schedule.target(x0, draws.eps, draws.t)
        error = (prediction - target).square().flatten(1).mean(1)
        return image_weight(self.schedule, draws.t) * error
