"""Finished images of a latent: edits carried to the originals' own pixels, at their own size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, SupportsFloat, get_args

import torch
from torch import Tensor

from ..diffusion.noise import Seed, item_seeds
from ..diffusion.samplers import EDIT_SAMPLER, OnStep
from ..lifting import Change, Region, apply_change
from .changes import (
    check_method,
    is_edited,
    rendered_changes,
    small_originals,
    source_codes,
    tracked_changes,
)
from .direction import as_number
from .editable import EditableModel
from .framing import Box, Origin, frame, resize, unframe
from .latent import Latent, Source
from .morph import blended, ends
from .pipeline import check_code, decode, edit, preview

Size = Literal["original", "model"]
SIZES: tuple[str, ...] = get_args(Size)


@torch.no_grad()
def render(
    model: EditableModel,
    latent: Latent,
    *,
    method: str = "auto",
    size: str = "original",
    strength: float = 1.0,
    mask: Tensor | Sequence[Tensor | None] | None = None,
    sampler: str = EDIT_SAMPLER,
    num_steps: int = 20,
    seed: Seed | None = None,
    on_step: OnStep | None = None,
    on_image: Callable[[], None] | None = None,
) -> list[Tensor]:
    """The images of a latent.

    An item with a source comes back as its original with the edit in it: what does not change
    keeps its pixels bit for bit, as does all outside of the square that the model saw. An item
    without one is drawn at the model's size, and enlarged to that of its origin. A frame between
    two images is both of them, edited to its code, one faded into the other.

    Args:
        method: how an edit is found. "tracked": in the co-pilot's previews, at once; "decoded":
            in what the diffusion decoder draws; "auto": tracked, and decoded where content
            appears or where the model's previews cannot be trusted (`changes.is_trackable`).
        size: "original" or "model", the model's square.
        strength: in [0, 1], share of the edit; half of it moves content half as far.
        mask: (B or 1, H, W) in [0, 1], of the originals' size: share of the edit at each pixel;
            or one (1, H, W) for each item, where None is 1 everywhere. That of a frame between two
            images has the size of the first, and is resized to the second.
        sampler, num_steps: of the diffusion decoder, where it draws.
        seed: None: the latent's own noise map (found when needed); a number: fresh noise, item b
            from seed + b, so that all details are new and the square is drawn in their place; or
            one for each item. Both images of a frame are drawn from the same.
        on_step: progress of the decoder; an exception raised in it cancels.
        on_image: called before each original that an edit is put into, which takes long where it is
            large; likewise.

    Returns:
        One tensor (C, H, W) per item: of the source's dtype and channels, or float32 in [0, 1]. For
        an item that is not edited it is the pixels of the source themselves; do not write into it.

    Raises:
        ValueError: bad options, a latent without items or of another model, or a mask or strength
            for a latent without sources.
    """
    check_method(method)
    if size not in SIZES:
        raise ValueError(f"size is {size!r}. Use one of {', '.join(SIZES)}.")
    _check_strength(strength)
    _check_items(latent)
    if not latent.sources:
        if strength != 1 or mask is not None:
            raise ValueError(
                "The latent does not keep its original images, so there is nothing to blend the "
                "edit with. Encode them, or leave out mask and strength."
            )
        drawn = decode(
            model,
            latent,
            sampler=sampler,
            num_steps=num_steps,
            seed=seed,
            on_step=on_step,
        )
        return [pixels_of(image) for image in enlarged(drawn, latent.origins, size)]
    check_code(model, latent)
    if any(source.between for source in latent.sources):
        both, rows = ends(latent)
        masks = _masks(mask, latent)
        seeds = None if seed is None else item_seeds(seed, len(latent))
        images = render(
            model,
            both,
            method=method,
            size=size,
            strength=strength,
            mask=[
                _resized(masks[row], source) for row, source in zip(rows, both.sources, strict=True)
            ],
            sampler=sampler,
            num_steps=num_steps,
            seed=None if seeds is None else [seeds[row] for row in rows],
            on_step=on_step,
            on_image=on_image,
        )
        return blended(latent, images, rows, fit=size == "original")
    masks = _masks(mask, latent)
    chosen = [
        index
        for index, edited in enumerate(is_edited(latent))
        if (edited or seed is not None) and strength > 0
    ]
    changes: dict[int, Change] = {}
    if chosen:
        part = Latent.cat([latent[index : index + 1] for index in chosen])
        found = rendered_changes(
            model,
            part,
            method=method,
            sampler=sampler,
            num_steps=num_steps,
            seed=seed,
            on_step=on_step,
        )
        changes = dict(zip(chosen, found, strict=True))
    if size == "model":
        images = (small_originals(model, latent) + 1) / 2
        side = images.shape[-1]
        region = Region(0, 0, side, side, feather=0.0)
        return [
            _applied(
                image,
                changes.get(index),
                region,
                strength,
                _framed(masks[index], latent, index, side),
                on_image,
            )
            for index, image in enumerate(images)
        ]
    return [
        _applied(source.pixels, changes.get(index), region_of(origin), strength, mask, on_image)
        for index, (source, origin, mask) in enumerate(
            zip(latent.sources, latent.origins, masks, strict=True)
        )
    ]


def enlarged(images: Tensor, origins: Sequence[Origin], size: str) -> list[Tensor]:
    """(B, C, S, S) -> one (C, H, W) each, brought back to their origins for "original"."""
    if size == "model" or not origins:
        return list(images)
    return [
        unframe(image[None], [origin])[0] for image, origin in zip(images, origins, strict=True)
    ]


def region_of(origin: Origin, across: float = 1.0, down: float = 1.0) -> Region:
    """Where a change of the model's square acts, in an image resized by these factors.

    Only what was framed may change: of a box that was padded, nothing around it.
    """

    def resized(box: Box) -> tuple[int, int, int, int]:
        left, right = round(box.left * across), round((box.left + box.width) * across)
        top, bottom = round(box.top * down), round((box.top + box.height) * down)
        return left, top, max(1, right - left), max(1, bottom - top)

    within = None if origin.box is None else resized(origin.box)
    return Region(*resized(origin.square), within=within)


def pixels_of(image: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return image.float().add(1).div(2).clamp(0, 1)


class TrackedPreview:
    """Edits of the same images over and over, at once: for sliders.

    All that does not depend on the edit is done when it is made, and what it keeps is small: of the
    originals only what it shows. Only the co-pilot draws, so content that appears is blurred;
    `render` draws it sharp.

    Args:
        latent: with sources; what it is edited already is shown too.
        longest: the longer side in pixels that previews have at most; None: the originals' own.

    Raises:
        ValueError: a latent without items or sources, or of another model; or `longest` below 1.
    """

    def __init__(self, model: EditableModel, latent: Latent, longest: int | None = None) -> None:
        if longest is not None and longest < 1:
            raise ValueError(f"longest is {longest}. Use at least 1 pixel, or None for no limit.")
        _check_items(latent)
        if not latent.sources:
            raise ValueError("The latent does not keep its original images. Encode them anew.")
        check_code(model, latent)
        self._model = model
        self._images = [scaled(source.pixels, longest) for source in latent.sources]
        codes = source_codes(latent)
        self._latent = Latent(
            latent.z,
            origins=latent.origins,
            sources=tuple(map(Source, self._images, codes)),
        )
        with torch.no_grad():
            self._before = preview(model, Latent(codes))
        self._regions = [
            region_of(origin, image.shape[2] / origin.width, image.shape[1] / origin.height)
            for origin, image in zip(latent.origins, self._images, strict=True)
        ]

    @property
    def images(self) -> list[Tensor]:
        """The unedited images at the size of the previews, one (C, H, W) each."""
        return self._images

    def draw(
        self,
        edits: Mapping[str, SupportsFloat] | Sequence[Mapping[str, SupportsFloat]],
        *,
        strength: float = 1.0,
    ) -> list[Tensor]:
        """The images with edits as `pipeline.edit` takes them: one new (C, H, W) each.

        Raises:
            TypeError, ValueError: as `pipeline.edit`, or a strength outside of [0, 1].
        """
        _check_strength(strength)
        latent = edit(self._model, self._latent, edits)
        are_edited = is_edited(latent)
        if not any(are_edited):
            return [image.clone() for image in self._images]
        changes = tracked_changes(self._model, latent, self._before)
        return [
            apply_change(image, changes.item(index), region, strength=strength)
            if edited
            else image.clone()
            for index, (image, region, edited) in enumerate(
                zip(self._images, self._regions, are_edited, strict=True)
            )
        ]


def _applied(
    image: Tensor,
    change: Change | None,
    region: Region,
    strength: float,
    mask: Tensor | None,
    on_image: Callable[[], None] | None,
) -> Tensor:
    if change is None:
        return image
    if on_image is not None:
        on_image()
    return apply_change(image, change, region, strength=strength, mask=mask)


def _resized(mask: Tensor | None, source: Source) -> Tensor | None:
    """A mask (1, H, W) of the size of another image."""
    if mask is None:
        return None
    return resize(mask[None].float(), *source.pixels.shape[1:])[0].clamp(0, 1)


def _masks(
    mask: Tensor | Sequence[Tensor | None] | None, latent: Latent
) -> Sequence[Tensor | None]:
    """One (1, H, W) for each item."""
    if mask is None:
        return [None] * len(latent)
    if not isinstance(mask, Tensor):
        return mask
    if mask.dim() != 3 or len(mask) not in (1, len(latent)):
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)}. Give (1, H, W), or one for each of the "
            f"{len(latent)} images."
        )
    if not bool(torch.isfinite(mask).all()):
        raise ValueError("The mask holds NaN or infinite values. Give values from 0 to 1.")
    for source in latent.sources:
        if mask.shape[1:] != source.pixels.shape[1:]:
            height, width = source.pixels.shape[1:]
            raise ValueError(
                f"The mask has {mask.shape[2]} x {mask.shape[1]} pixels and the image {width} x "
                f"{height}. Make the mask as large as the image."
            )
    parts = mask.clamp(0, 1).split(1)
    return [parts[index if len(parts) > 1 else 0] for index in range(len(latent))]


def _framed(mask: Tensor | None, latent: Latent, index: int, side: int) -> Tensor | None:
    if mask is None:
        return None
    origin = latent.origins[index]
    return frame(mask[None].float(), side, origin.rule, origin.box)[0][0].clamp(0, 1)


def _check_strength(strength: float) -> None:
    share = as_number(strength)
    if share is None or not 0 <= share <= 1:
        raise ValueError(f"strength is {strength!r}. Use a number from 0 (no change) to 1.")


def _check_items(latent: Latent) -> None:
    if not len(latent):
        raise ValueError("The latent is empty. Give one with at least one item.")


def scaled(pixels: Tensor, longest: int | None) -> Tensor:
    """(C, H, W) with at most `longest` pixels on the longer side; smaller ones as they are."""
    height, width = pixels.shape[1:]
    if longest is None or max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    smaller = resize(pixels[None].float(), *size)[0]
    return smaller.round().to(torch.uint8) if pixels.dtype == torch.uint8 else smaller
