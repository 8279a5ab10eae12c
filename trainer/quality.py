"""Measured quality of a model on pictures it has not seen; every figure of a model card."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, encode, preview, traverse
from comfyui_cldis.editing.quality import monotone_share as share_of_monotone

MONOTONE_AMOUNTS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def explained_variance(images: Tensor, reconstruction: Tensor, mean: Tensor) -> float:
    """1 - MSE / Var, Var about the mean picture of the training set; 1 is perfect, 0 the mean."""
    variance = (images - mean).square().mean()
    return float(1 - (reconstruction - images).square().mean() / variance)


def psnr(images: Tensor, reconstruction: Tensor) -> float:
    """Peak signal-to-noise ratio in dB for pictures in [-1, 1], mean over the pictures."""
    error = (reconstruction - images).square().flatten(1).mean(1).clamp(min=1e-12)
    return float((10 * torch.log10(4 / error)).mean())


def monotone_share(model: EditableModel, latent: Latent, name: str, num_steps: int) -> float:
    """Share of base pictures on which a direction's effect is monotone.

    The pictures at -2, -1, 0, 1, 2 sd are projected on the difference between the last and the
    first; monotone means that the projections increase.
    """
    amounts = [
        max(model.direction(name).minimum, min(model.direction(name).maximum, amount))
        for amount in MONOTONE_AMOUNTS
    ]
    images = decode(model, traverse(model, latent, name, amounts), num_steps=num_steps)
    return share_of_monotone(images.view(len(latent), len(amounts), *images.shape[1:]))


def measure_quality(
    model: EditableModel,
    images: Tensor,
    mean: Tensor,
    *,
    num_steps: int = 20,
    num_monotone: int = 16,
    batch_size: int = 64,
) -> dict[str, Any]:
    """All figures, on pictures (n, C, S, S) in [-1, 1] that were not used in training.

    Args:
        mean: mean picture of the training set (C, S, S), the reference of explained variance.
        num_monotone: how many of the pictures the monotony of the directions is judged on.

    Returns:
        JSON-able: counts, explained variances with random x_T and of the co-pilot, PSNR with
        inverted x_T, and the directions that are visible and monotone.
    """
    random_parts, inverted_parts, preview_parts = [], [], []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        latent = encode(model, batch, inversion_steps=num_steps)
        random_parts.append(decode(model, latent, num_steps=num_steps, seed=start))
        inverted_parts.append(decode(model, latent, num_steps=num_steps))
        preview_parts.append(preview(model, latent))
    random, inverted = torch.cat(random_parts), torch.cat(inverted_parts)
    bases = encode(model, images[:num_monotone], inversion_steps=10)
    shares = {
        direction.name: round(monotone_share(model, bases, direction.name, 10), 3)
        for direction in model.directions
    }
    return {
        "num_images": len(images),
        "num_steps": num_steps,
        "explained_variance_random_noise": round(explained_variance(images, random, mean), 4),
        "explained_variance_preview": round(
            explained_variance(images, torch.cat(preview_parts), mean), 4
        ),
        "psnr_inverted_noise_db": round(psnr(images, inverted), 2),
        "monotone_share": shares,
        "num_visible_monotone": sum(share >= 0.9 for share in shares.values()),
    }
