"""Decoding: latents become images again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torch import Tensor

from ..diffusion.noise import Seed, item_seeds
from ..editing.latent import Latent
from ..editing.render import render
from . import host
from .checks import check_latent, check_noise, check_sizes
from .images import to_comfyui, to_mask
from .packages import BASE, require
from .remaining import say
from .sockets import (
    CATEGORY_SAMPLING,
    LoadedModel,
    latent_input,
    mask_input,
    method_input,
    model_input,
    noise_input,
    sampler_input,
    seed_input,
    size_input,
    steps_input,
    strength_input,
)

BLACK_MASK = (
    "The mask is black everywhere, so the edit acts nowhere. Paint the part to edit, or disconnect "
    "mask."
)

logger = logging.getLogger(__name__)


class Decode:
    DESCRIPTION = (
        "Puts the edits of a latent into the image it was encoded from, at its own size: what does "
        "not change keeps its pixels. An unedited latent gives the encoded image back."
    )
    CATEGORY = CATEGORY_SAMPLING
    SEARCH_ALIASES = [
        "latent to image",
        "sample",
        "diffusion autoencoder decode",
        "render edit",
        "face edit decode",
    ]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The images, one for each item of the latent.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": model_input(),
                "latent": latent_input("The latent to draw, edited or not."),
                "sampler": sampler_input(),
                "steps": steps_input(),
                "noise": noise_input(),
                "seed": seed_input(),
                "size": size_input("original"),
            },
            "optional": {
                "method": method_input(),
                "strength": strength_input(),
                "mask": mask_input(),
            },
        }

    def execute(
        self,
        model: LoadedModel,
        latent: Latent,
        sampler: str,
        steps: int,
        noise: str,
        seed: int,
        size: str,
        method: str = "auto",
        strength: float = 1.0,
        mask: Tensor | None = None,
    ) -> tuple[Tensor]:
        require(BASE)
        images = draw(
            model,
            latent,
            sampler=sampler,
            num_steps=steps,
            seed=seed if noise == "seed" else None,
            size=size,
            method=method,
            strength=strength,
            mask=mask,
        )
        return (images,)


def draw(
    model: LoadedModel,
    latent: Latent,
    *,
    sampler: str,
    num_steps: int,
    seed: Seed | None = None,
    size: str = "original",
    method: str = "auto",
    strength: float = 1.0,
    mask: Tensor | None = None,
    finish: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Renders a batch in parts that fit in memory; options as for `render`.

    Args:
        mask: ComfyUI's, one for all images or one for each.
        finish: what is made of each part, such as smaller images, before the next is drawn.
    Returns: ComfyUI's (B, H, W, 3) in [0, 1].
    """
    check_latent(model, latent)
    check_noise(latent, "inverted" if seed is None else "seed")
    check_sizes(latent, size)
    masks = _masks(mask, latent)
    seeds = None if seed is None else item_seeds(seed, len(latent))

    images: Tensor | None = None  # filled part by part, so that there is no second copy of it

    def draw_part(start, stop, on_step):
        nonlocal images
        host.raise_if_interrupted()
        pixels = render(
            model.editable,
            latent[start:stop],
            method=method,
            size=size,
            strength=strength,
            mask=masks if masks is None or len(masks) == 1 else masks[start:stop],
            sampler=sampler,
            num_steps=num_steps,
            seed=None if seeds is None else seeds[start:stop],
            on_step=on_step,
            on_image=host.raise_if_interrupted,
        )
        part = host.to_intermediate(to_comfyui(pixels))
        part = part if finish is None else finish(part)
        if stop - start == len(latent):
            images = part
            return
        if images is None:
            images = room_for(len(latent), part)
        images[start:stop] = part

    host.in_chunks(
        model,
        len(latent),
        num_steps,
        draw_part,
        use_preview=True,
        item_pixels=_item_pixels(latent) if size == "original" else 1,
    )
    # Load Image gives such a mask for a picture without transparency.
    if masks is not None and not bool(masks.any()):
        logger.warning("CL-Dis: %s", BLACK_MASK)
        say(BLACK_MASK)
    assert images is not None
    return images


def room_for(num_items: int, part: Tensor) -> Tensor:
    """A tensor for that many items like those of `part`. Raises NoRoomError where none fits."""
    try:
        return part.new_empty(num_items, *part.shape[1:])
    except RuntimeError as error:  # of memory: nothing else is asked for
        height, width = part.shape[1:3]
        size = num_items * part[0].numel() * part.element_size() / 2**30
        raise host.NoRoomError(
            f"The {num_items} images of {width} x {height} pixels take {size:.1f} GiB, for which "
            "there is no room. Draw fewer at a time, or choose size 'model'."
        ) from error


def _item_pixels(latent: Latent) -> int:
    """Of the largest item; of a frame between two images, those of both, which are drawn for it."""
    pixels = [origin.width * origin.height for origin in latent.origins]
    for index, source in enumerate(latent.sources):
        if source.between is not None:
            pixels[index] = _item_pixels(source.between.first) + _item_pixels(source.between.second)
    return max(pixels, default=1)


def _masks(mask: Tensor | None, latent: Latent) -> Tensor | None:
    """(1 or B, H, W) of the size of the images."""
    if mask is None:
        return None
    if not latent.sources:
        raise ValueError(
            "The latent does not keep its images, so a mask has nothing to keep. Disconnect the "
            "mask, or connect a latent that comes from CLDis Encode Image."
        )
    height, width = latent.sources[0].pixels.shape[1:]
    masks = to_mask(mask, (height, width))
    if len(masks) not in (1, len(latent)):
        raise ValueError(
            f"There are {len(masks)} masks and {len(latent)} images. Connect one mask for all, or "
            "one for each."
        )
    return masks
