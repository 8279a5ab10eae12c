"""Measured quality of a model on images it has not seen; every figure of a model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.directions.quality import Measured, with_measurements
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import ModelQuality
from comfyui_cldis.editing.familiar import explained_by_copilot
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, encode, preview

EVALUATION_BASES = 16  # images that directions are evaluated on
INVERSION_STEPS, DIRECTION_STEPS = 10, 10
LOW_QUANTILE = 0.01  # of the images: so few may be redrawn worse than `least_explained_preview`
SECOND_DRAW = 1_000_000  # added to the seeds of the first


def explained_variance(images: Tensor, reconstruction: Tensor, mean: Tensor) -> float:
    """1 - MSE / Var, Var about the mean image of the training set; 1 is perfect, 0 the mean."""
    variance = (images - mean).square().mean()
    return float(1 - (reconstruction - images).square().mean() / variance)


def explained_by_code(images: Tensor, draws: tuple[Tensor, Tensor], mean: Tensor) -> float:
    """The explained variance of the mean of infinitely many draws, without bias, from two.

    The errors of two independent draws share only the error of their common mean, so the mean of
    their product is its square.
    """
    variance = (images - mean).square().mean()
    first, second = (draw - images for draw in draws)
    return float(1 - (first * second).mean() / variance)


def psnr(images: Tensor, reconstruction: Tensor) -> float:
    """Peak signal-to-noise ratio in dB for images in [-1, 1], mean over the images."""
    error = (reconstruction - images).square().flatten(1).mean(1).clamp(min=1e-12)
    return float((10 * torch.log10(4 / error)).mean())


def measure_directions(
    model: EditableModel,
    latent: Latent,
    on_direction: Callable[[Direction, Measured], object] | None = None,
    num_steps: int | None = None,
) -> EditableModel:
    """The model with quality and thumbnails of its directions.

    This is the one measurement of a run's export and of `navigate`.

    Args:
        latent: base images with x_T; `EVALUATION_BASES` of them are enough.
        on_direction: progress, called after each direction.
        num_steps: of sampling; None for `DIRECTION_STEPS`.
    """
    steps = DIRECTION_STEPS if num_steps is None else num_steps
    return with_measurements(model, latent, num_steps=steps, on_direction=on_direction)


def measure_quality(
    model: EditableModel,
    images: Tensor,
    mean: Tensor,
    seen: str,
    *,
    num_steps: int = 20,
    batch_size: int = 64,
) -> ModelQuality:
    """The figures of the model as a whole, on images (n, C, S, S) in [-1, 1] it has not seen.

    What the code explains is measured without a residual code, which sliders do not move.

    Args:
        mean: mean image of the training set (C, S, S), the reference of explained variance.
        seen: whether training saw the images after all, in words.
    """
    draw = partial(decode, model, sampler=MEASURING_SAMPLER, num_steps=num_steps)
    sampled_parts, again_parts, inverted_parts, preview_parts = [], [], [], []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        latent = encode(model, batch, inversion=MEASURING_SAMPLER, inversion_steps=num_steps)
        code = replace(latent, residual=None)
        sampled_parts.append(draw(code, seed=start))
        again_parts.append(draw(code, seed=SECOND_DRAW + start))
        inverted_parts.append(draw(latent))
        preview_parts.append(preview(model, latent))
    sampled, again = torch.cat(sampled_parts), torch.cat(again_parts)
    inverted = torch.cat(inverted_parts)
    previews = torch.cat(preview_parts)
    least_explained = None
    if model.facts.training.has_copilot_code:
        parts = [explained_by_copilot(model, part) for part in images.split(batch_size)]
        least_explained = round(float(torch.cat(parts).quantile(LOW_QUANTILE)), 4)
    return ModelQuality(
        images=seen,
        num_images=len(images),
        num_steps=num_steps,
        explained_variance_code=round(explained_by_code(images, (sampled, again), mean), 4),
        explained_variance_random_noise=round(explained_variance(images, sampled, mean), 4),
        explained_variance_preview=round(explained_variance(images, previews, mean), 4),
        least_explained_preview=least_explained,
        psnr_inverted_noise_db=round(psnr(images, inverted), 2),
    )
