"""New images: codes drawn from what training has seen, and what the decoder makes of them."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import SupportsIndex

import torch

from ..diffusion.noise import gaussian_noise
from ..diffusion.samplers import OnStep
from ..model import DiffAE
from .direction import as_number
from .editable import EditableModel, check_measured
from .framing import Origin
from .latent import Latent, Source
from .latent_diffusion import draw_codes
from .pipeline import decode
from .render import pixels_of

MAXIMUM_TRUNCATION = 1.5
# Chosen by eye on the demo model: with more steps, or with ddim, its images are grainier.
TRUNCATION, SAMPLER, NUM_STEPS = 0.7, "dpmpp_2m", 10


@torch.no_grad()
def sample_images(
    model: EditableModel,
    count: int,
    seed: int,
    *,
    truncation: float = TRUNCATION,
    sampler: str = SAMPLER,
    num_steps: int = NUM_STEPS,
    on_step: OnStep | None = None,
) -> Latent:
    """Draws new images at the model's size.

    Each scalar of a code comes from a normal distribution of its mean and its standard deviation
    in training times `truncation`, and stays between its 0.5 and 99.5 % quantiles there. A model
    file has no more than these statistics, so scalars are drawn independently: training makes them
    nearly so, and a combination that was never seen may come out odd. An imported model with a
    latent diffusion model draws whole codes with that, and they are moved towards the mean.

    Args:
        count: of images; image b depends on seed + b alone, code and noise map.
        truncation: in [0, 1.5]; small: like the mean image; large: varied, with more failures.
        sampler: one of SAMPLERS.
        num_steps: sampling steps.
        on_step: progress; an exception raised in it cancels.

    Returns:
        Codes and noise maps, with the images as sources (C, S, S) float32 in [0, 1], so that they
        are edited like images that were encoded.

    Raises:
        TypeError: a count, seed or number of steps that is no whole number.
        ValueError: a number out of range, bad sampler settings, or a model without statistics.
    """
    share = as_number(truncation)
    if share is None or not 0 <= share <= MAXIMUM_TRUNCATION:
        raise ValueError(
            f"The truncation is {truncation!r}. Give a number from 0 to {MAXIMUM_TRUNCATION:g}."
        )
    if not isinstance(count, SupportsIndex):
        raise TypeError(f"The number of images is {count!r}. Give a whole number.")
    if count < 1:
        raise ValueError(f"The number of images is {count}. Give at least 1.")
    config, statistics = model.networks.config, model.statistics
    shape = (config.in_channels, config.image_size, config.image_size)
    # One draw for both: the same seed twice would make the noise map repeat the code.
    noise = gaussian_noise((count, config.latent_dim + prod(shape)), seed)
    mean, std, low, high = (
        each.to("cpu", torch.float32)
        for each in (statistics.mean, statistics.std, statistics.low, statistics.high)
    )
    networks = model.networks
    if isinstance(networks, DiffAE) and networks.latent_net is not None:
        drawn = draw_codes(networks, statistics, noise[:, : config.latent_dim])
        z = mean + share * (drawn - mean)
    else:
        check_measured(model)
        z = mean + share * std * noise[:, : config.latent_dim]
        z = torch.maximum(torch.minimum(z, high), low)
    x_T = noise[:, config.latent_dim :].reshape(count, *shape)
    latent = Latent(z, x_T, fingerprint=model.fingerprint)
    images = decode(model, latent, sampler=sampler, num_steps=num_steps, on_step=on_step)
    pixels = pixels_of(images)
    origin = Origin(config.image_size, config.image_size, "crop")
    sources = tuple(Source(image, code) for image, code in zip(pixels, z, strict=True))
    return replace(latent, origins=(origin,) * count, sources=sources)
