"""What the edits of a latent change, found in the way that its model can be trusted with."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..diffusion.noise import Seed
from ..diffusion.samplers import EDIT_SAMPLER, OnStep, Step, inversion_of
from ..lifting import Change, fill, find_change, find_difference, find_replacement
from .editable import EditableModel
from .framing import Origin
from .latent import Latent
from .original import frame_original
from .pipeline import decode, encode, preview

Method = Literal["auto", "tracked", "decoded"]
METHODS: tuple[str, ...] = get_args(Method)
# Share of the variance of images that previews must explain before content is tracked in them.
# Measured: heads 0.94, where tracking is right; clothes 0.70 and hands 0.62, where it is not.
TRUSTED_VARIANCE = 0.9
NUM_STEPS = 4  # between the images that content is followed over


def is_trackable(model: EditableModel) -> bool:
    """Whether the model's previews show its images well enough to track content in them.

    False where its file does not say, and without a co-pilot, which draws the previews.
    """
    if not model.networks.has_copilot:
        return False
    explained = model.facts.quality.explained_variance_preview
    return explained is not None and explained >= TRUSTED_VARIANCE


def is_edited(latent: Latent) -> list[bool]:
    """For each item, whether its code is another than that of its source."""
    return [
        not torch.equal(code.to(source.code), source.code)
        for code, source in zip(latent.z, latent.sources, strict=True)
    ]


def source_codes(latent: Latent) -> Tensor:
    """(B, N), of the sources before any edit, on the device of the latent."""
    return torch.stack([source.code.to(latent.z) for source in latent.sources])


def small_originals(model: EditableModel, latent: Latent) -> Tensor:
    """The sources of a latent at the model's size: (B, C, S, S) in [-1, 1], on its device."""
    config = model.networks.config
    framed: list[Tensor] = []
    seen: tuple[Tensor, Origin] | None = None
    for source, origin in zip(latent.sources, latent.origins, strict=True):
        if seen is not None and source.pixels is seen[0] and origin == seen[1]:
            framed.append(framed[-1])  # the frames of one image
            continue
        seen = source.pixels, origin
        square, _ = frame_original(
            source.pixels, config.in_channels, config.image_size, origin.rule, origin.box
        )
        framed.append(square.to(latent.z.device))
    return torch.cat(framed)


@torch.no_grad()
def tracked_changes(model: EditableModel, latent: Latent, before: Tensor | None = None) -> Change:
    """The changes that the co-pilot's previews show, for a latent with sources.

    Content is followed where `is_trackable`; else it changes in place.

    Args:
        before: previews of the unedited codes, where they are known already.
    """
    codes = source_codes(latent)
    if before is None:
        before = preview(model, latent.with_z(codes))
    if not is_trackable(model):
        return find_difference(before, preview(model, latent))
    shares = torch.arange(1, NUM_STEPS + 1, device=codes.device) / NUM_STEPS
    between = torch.lerp(codes[:, None], latent.z[:, None], shares[:, None])  # (B, K, N)
    batch = len(codes)
    drawn = preview(model, Latent(between.flatten(0, 1))).unflatten(0, (batch, NUM_STEPS))
    return find_change(torch.cat([before[:, None], drawn], dim=1))


@torch.no_grad()
def rendered_changes(
    model: EditableModel,
    latent: Latent,
    *,
    method: str = "auto",
    sampler: str = EDIT_SAMPLER,
    num_steps: int = 20,
    seed: Seed | None = None,
    on_step: OnStep | None = None,
) -> list[Change]:
    """The change of each item of a latent with sources; options as for `render`."""
    if seed is not None:
        drawn = decode(
            model, latent, sampler=sampler, num_steps=num_steps, seed=seed, on_step=on_step
        )
        return _items(find_replacement(drawn))
    if method == "decoded" or (method == "auto" and not is_trackable(model)):
        small = small_originals(model, latent)
        drawn = _decoded(model, latent, small, sampler, num_steps, on_step)
        return _items(fill(find_difference(small, drawn), small, drawn))
    changes = _items(tracked_changes(model, latent))
    appeared = [index for index, change in enumerate(changes) if bool(change.appeared.any())]
    if method == "tracked" or not appeared:
        return changes
    part = Latent.cat([latent[index : index + 1] for index in appeared])
    small = small_originals(model, part)
    drawn = _decoded(model, part, small, sampler, num_steps, on_step)
    for row, index in enumerate(appeared):
        at = slice(row, row + 1)
        changes[index] = fill(changes[index], small[at], drawn[at])
    return changes


def _decoded(
    model: EditableModel,
    latent: Latent,
    small: Tensor,
    sampler: str,
    num_steps: int,
    on_step: OnStep | None,
) -> Tensor:
    """The latent drawn by the diffusion decoder, its noise map found first where it has none."""
    if latent.x_T is None:
        first, second = _halves(on_step, num_steps)
        inversion = inversion_of(sampler)
        found = encode(model, small, inversion=inversion, inversion_steps=num_steps, on_step=first)
        latent, on_step = replace(latent, x_T=found.x_T), second
    return decode(model, latent, sampler=sampler, num_steps=num_steps, on_step=on_step)


def _halves(on_step: OnStep | None, num_steps: int) -> tuple[OnStep | None, OnStep | None]:
    """What to call with the steps of two runs, so that they count as those of one."""
    if on_step is None:
        return None, None
    return (
        lambda step: on_step(Step(step.index, step.total + num_steps, step.x0)),
        lambda step: on_step(Step(step.index + num_steps, step.total + num_steps, step.x0)),
    )


def _items(change: Change) -> list[Change]:
    return [change.item(index) for index in range(len(change))]


def check_method(method: str) -> None:
    """Raises a ValueError unless it is one of METHODS."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}. Use one of {', '.join(METHODS)}.")
