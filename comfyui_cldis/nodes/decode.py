"""Decoding: latents become images again."""

from __future__ import annotations

import torch
from torch import Tensor

from ..diffusion.noise import MAXIMUM_SEED
from ..editing.framing import unframe
from ..editing.latent import Latent
from ..editing.pipeline import decode
from . import host
from .edits import check_latent, check_noise
from .images import to_comfyui
from .packages import BASE, require
from .sockets import (
    CATEGORY_SAMPLING,
    LoadedModel,
    freedom_input,
    latent_input,
    model_input,
    noise_input,
    sampler_input,
    seed_input,
    size_input,
    steps_input,
)


class Decode:
    DESCRIPTION = (
        "Draws the image of a latent and shows it while it forms. An unedited latent with "
        "inverted noise gives the encoded image back."
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
                "freedom": freedom_input(
                    "With inverted noise: how far it moves towards the noise of the seed. "
                    "0 keeps the image's own noise and its details, and switches this "
                    "off; 0.2 to 0.5 lets a large edit go further."
                ),
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
        freedom: float = 0.0,
    ) -> tuple[Tensor]:
        require(BASE)
        return (draw(model, latent, sampler, steps, noise, seed, size, freedom),)


def draw(
    model: LoadedModel,
    latent: Latent,
    sampler: str,
    steps: int,
    noise: str,
    seed: int,
    size: str,
    freedom: float = 0.0,
) -> Tensor:
    """Decodes a batch in parts that fit in memory.

    Returns: ComfyUI's (B, H, W, 3) in [0, 1]; item b is drawn from seed + b when noise is "seed".
    """
    check_latent(model, latent)
    check_noise(latent, noise)
    is_seeded = noise == "seed" or freedom > 0

    def draw_part(start, stop, on_step):
        items = latent[start:stop]
        pixels = decode(
            model.editable,
            items,
            sampler=sampler,
            num_steps=steps,
            seed=(seed + start) % (MAXIMUM_SEED + 1) if is_seeded else None,
            freedom=1.0 if noise == "seed" else freedom,
            on_step=on_step,
        )
        if size == "original" and items.origins:
            pixels = unframe(pixels, items.origins)
        return host.to_intermediate(to_comfyui(pixels))

    return torch.cat(host.in_chunks(model, len(latent), steps, draw_part, use_preview=True))
