"""What a direction does to some images: its quality in figures, its ends in words, thumbnails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..diffusion.noise import gaussian_noise, item_seeds
from ..diffusion.samplers import MEASURING_SAMPLER
from ..editing.direction import Direction
from ..editing.editable import EditableModel, check_measured
from ..editing.facts import DirectionQuality
from ..editing.latent import Latent
from ..editing.pipeline import decode, traverse
from ..imaging.tensors import to_pixels
from .naming import Words, describe_change

AMOUNTS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # in sd, cut to the safe range
THUMBNAIL_SIDE = 48  # pixels, or the model's own size if that is smaller


@dataclass(frozen=True)
class Measured:
    """One direction, measured.

    Attributes:
        effect: mean absolute change between -1 and +1 sd, in [0, 2] image units.
        quality: its figures.
        words: a provisional name and ends, of the change between -1 and +1 sd, as `rank_vectors`
            names directions.
        thumbnails: of the first image, as `Direction.thumbnails`; None for channels that are no
            colours.
    """

    effect: float
    quality: DirectionQuality
    words: Words
    thumbnails: Tensor | None


def measure_direction(
    model: EditableModel, latent: Latent, direction: Direction, *, num_steps: int = 10
) -> Measured:
    """Draw base images at five amounts along one direction of `model` and compare them.

    Args:
        latent: B base images with noise, at least one; with one the consistency is left out.
        num_steps: DDIM steps per image.
    """
    amounts = evaluation_amounts(direction)
    moved = traverse(model, latent, direction.name, amounts)
    drawn = decode(model, moved, sampler=MEASURING_SAMPLER, num_steps=num_steps)
    images = drawn.view(len(latent), len(amounts), *drawn.shape[1:])
    unlike = [at for at, amount in enumerate(amounts) if amount not in amounts[:at]]
    quality = DirectionQuality(
        monotone=round(monotone_share(images[:, unlike]), 4),
        balance=round(_balance(images), 4),
        consistency=_consistency(images[:, -1] - images[:, 0]),
    )
    return Measured(
        effect=round(float((images[:, 3] - images[:, 1]).abs().mean()), 5),
        quality=quality,
        words=describe_change(images[:, 1], images[:, 3]),
        thumbnails=_thumbnails(images[0, [0, 2, 4]]),
    )


def evaluation_amounts(direction: Direction) -> list[float]:
    """The amounts that a direction is evaluated at, in sd; the first, third and fifth are shown."""
    return [max(direction.minimum, min(direction.maximum, amount)) for amount in AMOUNTS]


def with_measurements(
    model: EditableModel,
    latent: Latent,
    *,
    num_steps: int = 10,
    on_direction: Callable[[Direction, Measured], object] | None = None,
) -> EditableModel:
    """The model with quality figures and thumbnails of all its directions measured anew.

    Names, ends, ranges, effects and order stay: sliders do not change under their users.
    """
    directions = []
    for direction in model.directions:
        measured = measure_direction(model, latent, direction, num_steps=num_steps)
        quality = replace(measured.quality, other=direction.quality.other)
        directions.append(replace(direction, quality=quality, thumbnails=measured.thumbnails))
        if on_direction is not None:
            on_direction(direction, measured)
    return replace(model, directions=tuple(directions))


def drawn_latent(model: EditableModel, count: int, seed: int = 0) -> Latent:
    """Base images without images: codes drawn about the mean of the training set, with noise.

    Codes are normal with the training set's deviations, cut to its 0.5 and 99.5 % quantiles. A
    residual code is 0, which is how training drops it.

    Raises: ValueError for a model that was imported without these statistics.
    """
    check_measured(model)
    config, statistics = model.networks.config, model.statistics
    seeds = item_seeds(seed, 2 * count)
    noise = gaussian_noise((count, config.latent_dim), seeds[:count])
    z = (statistics.mean + statistics.std * noise).clamp(statistics.low, statistics.high)
    residual = torch.zeros(count, config.residual_dim) if config.residual_dim else None
    shape = (count, config.in_channels, config.image_size, config.image_size)
    return Latent(z, gaussian_noise(shape, seeds[count:]), residual)


def monotone_share(images: Tensor) -> float:
    """Share of the images that change one way all along; (B, K, C, S, S) at K rising amounts.

    Each image is projected on the difference between its last and first; monotone means that
    the projections rise.
    """
    path = images.flatten(2)  # (B, K, pixels)
    span = (path[:, -1] - path[:, 0])[:, None]
    return float(((path * span).sum(-1).diff(dim=1) > 0).all(dim=1).float().mean())


def _balance(images: Tensor) -> float:
    """Change at the weaker end over that at the stronger, mean absolute from the middle, in [0, 1].

    The ends are those of the safe range, each at most 2: where they lie at unlike distances, that
    lowers it as much as an uneven answer of the image.
    """
    middle = images[:, images.shape[1] // 2]
    sides = sorted(float((images[:, end] - middle).abs().mean()) for end in (0, -1))
    return sides[0] / sides[1] if sides[1] > 0 else 0.0


def _consistency(change: Tensor) -> float | None:
    """Mean cosine between the changes (B, C, S, S) of two images, over all B (B - 1) pairs."""
    unit = functional.normalize(change.flatten(1), dim=1)
    count = len(unit)
    if count < 2:
        return None
    return round(float((unit @ unit.T).sum() - unit.square().sum()) / (count * (count - 1)), 4)


def _thumbnails(images: Tensor) -> Tensor | None:
    """Images (3, C, S, S) in [-1, 1] as uint8 (3, s, s, 3), s at most THUMBNAIL_SIDE."""
    if images.shape[1] not in (1, 3):
        return None
    if images.shape[-1] > THUMBNAIL_SIDE:
        size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        images = functional.interpolate(images, size=size, mode="area")
    return to_pixels(images.expand(-1, 3, -1, -1))
