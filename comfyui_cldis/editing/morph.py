"""Frames between two images: each is edited to the frame's code, and one fades into the other.

Content meets in the code, so that it moves and changes colour; what the code does not know, such as
fine detail, is of the images themselves and fades. Nothing is drawn at the model's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import SupportsFloat

import torch
from torch import Tensor

from .framing import resize
from .latent import Between, Latent
from .pipeline import interpolate


def morph(first: Latent, second: Latent, fractions: Sequence[SupportsFloat]) -> Latent:
    """Each item between two latents at each of K fractions: (B) -> (B * K), item-major.

    The codes are those of `pipeline.interpolate`. Where both latents keep their images, so do the
    frames; else they are drawn.

    Args:
        first, second: of one batch size, or one of them of a single item, which then serves all.
            The frames are on the device of the first.
        fractions: in [0, 1]; 0 gives the first image itself and 1 the second.

    Raises:
        ValueError: batches or shapes that do not fit, no fractions, or one that is no number in
            [0, 1].
    """
    if not len(fractions):
        raise ValueError("There are no fractions to interpolate at. Give at least one.")
    if len(first) != len(second) and 1 not in (len(first), len(second)):
        raise ValueError(
            f"The latents have {len(first)} and {len(second)} images. Give as many of both, or "
            "only one of the one."
        )
    device = first.z.device
    second = second.map(lambda tensor: tensor.to(device))
    batch = max(len(first), len(second))
    first = first.repeat(batch) if len(first) == 1 else first
    second = second.repeat(batch) if len(second) == 1 else second
    frames = [_frame(first, second, fraction) for fraction in fractions]
    return Latent.cat([frame[index : index + 1] for index in range(batch) for frame in frames])


def ends(latent: Latent) -> tuple[Latent, list[int]]:
    """The images that the frames of a latent lie between, each with the frame's code.

    Returns:
        A latent without frames, and for each of its items the frame that it belongs to.
    """
    parts: list[Latent] = []
    rows: list[int] = []
    for index, source in enumerate(latent.sources):
        frame = latent[index : index + 1]
        for end in [frame] if source.between is None else _shown(source.between):
            parts.append(end.with_z(frame.z))
            rows.append(index)
    return Latent.cat(parts), rows


def blended(
    latent: Latent, images: Sequence[Tensor], rows: Sequence[int], *, fit: bool
) -> list[Tensor]:
    """The frames of a latent from the images of its `ends`.

    Args:
        images: (C, H, W) of each item that `ends` gives.
        rows: that it gives with them.
        fit: bring each to the size, channels and dtype of the frame's first image.
    """
    own: list[list[Tensor]] = [[] for _ in range(len(latent))]
    for image, row in zip(images, rows, strict=True):
        own[row].append(image)
    found: list[Tensor] = []
    for source, mine in zip(latent.sources, own, strict=True):
        if source.between is None:
            found += mine
            continue
        fitted = [_like(image, source.pixels) for image in mine] if fit else mine
        if len(fitted) == 1:
            found.append(fitted[0])
            continue
        first, second = fitted[0].float(), fitted[1].float().to(fitted[0].device)
        mixed = torch.lerp(first, second, source.between.share)
        if fitted[0].dtype == torch.uint8:
            mixed = mixed.round()
        found.append(mixed.to(fitted[0].dtype))
    return found


def _frame(first: Latent, second: Latent, fraction: SupportsFloat) -> Latent:
    """All items at one fraction."""
    first, second = _with_residual(first, second), _with_residual(second, first)
    middle = interpolate(first, second, fraction)
    if not (first.sources and second.sources):
        return replace(middle, origins=first.origins, sources=())
    share = float(fraction)
    share = share**3 * (share * (6 * share - 15) + 10)  # ghosts are short: most at once, halfway
    sources = tuple(
        replace(
            source,
            between=Between(first[index : index + 1], second[index : index + 1], share),
        )
        for index, source in enumerate(first.sources)
    )
    return replace(middle, origins=first.origins, sources=sources)


def _with_residual(latent: Latent, other: Latent) -> Latent:
    """With zeros for a residual code that only `other` has: what the networks take for none."""
    if latent.residual is not None or other.residual is None:
        return latent
    return replace(latent, residual=torch.zeros_like(other.residual))


def _shown(between: Between) -> list[Latent]:
    """The images that can be seen in a frame."""
    if between.share in (0, 1):
        return [between.second if between.share else between.first]
    return [between.first, between.second]


def _like(image: Tensor, like: Tensor) -> Tensor:
    """An image in the size, channels and dtype of another, both uint8 or in [0, 1]."""
    if image.shape == like.shape and image.dtype == like.dtype:
        return image
    values = image.float() / 255 if image.dtype == torch.uint8 else image.float()
    values = resize(values[None], *like.shape[1:])[0]
    if len(values) < len(like):
        values = torch.cat([values, torch.ones_like(values[:1])])
    elif len(values) > len(like):
        values = values[:-1] * values[-1:] + (1 - values[-1:])
    if like.dtype == torch.uint8:
        return (values * 255).round().to(torch.uint8)
    return values.to(like.dtype)
