"""Encoding: images become latents, that is factors and the noise that holds the rest."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from ..editing.familiar import unfamiliar, unfamiliar_text
from ..editing.framing import RESIZE_RULES, Box, check_box
from ..editing.latent import Latent
from ..editing.original import frame_original
from ..editing.pipeline import encode
from . import host
from .images import check_images, to_pixels
from .packages import BASE, require
from .remaining import say
from .sockets import (
    CATEGORY_SAMPLING,
    LATENT,
    MAXIMUM_STEPS,
    LoadedModel,
    inversion_input,
    model_input,
)

logger = logging.getLogger(__name__)


class Encode:
    DESCRIPTION = (
        "Finds the factors of each image, and by inversion the noise from which the decoder "
        "draws just this image. The slow part of an edit; it runs once for each image."
    )
    CATEGORY = CATEGORY_SAMPLING
    SEARCH_ALIASES = [
        "image to latent",
        "invert image",
        "ddim inversion",
        "diffusion autoencoder encode",
        "face edit encode",
    ]
    RETURN_TYPES = (LATENT,)
    RETURN_NAMES = ("latent",)
    OUTPUT_TOOLTIPS = ("Factors and noise of each image, and its size, for the edit nodes.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": model_input(),
                "image": (
                    "IMAGE",
                    {
                        "tooltip": (
                            "One image or a batch, of any size. Grey is read as colour; "
                            "transparency is laid over white."
                        )
                    },
                ),
                "inversion_steps": (
                    "INT",
                    {
                        "default": 20,
                        "min": 0,
                        "max": MAXIMUM_STEPS,
                        "step": 1,
                        "tooltip": (
                            "Passes that search the noise from which the decoder draws just this "
                            "image. 0 skips the search; CLDis Decode Image then makes it when "
                            "it needs the noise."
                        ),
                    },
                ),
                "resize": (
                    list(RESIZE_RULES),
                    {
                        "default": "crop",
                        "tooltip": (
                            "How an image becomes the model's square. crop: the central square. "
                            "pad: the whole image, edges extended. stretch: the whole image, "
                            "distorted."
                        ),
                    },
                ),
            },
            "optional": {
                "crop_x": _crop_input("Left edge of the part to edit, in pixels of the image."),
                "crop_y": _crop_input("Top edge of the part to edit, in pixels of the image."),
                "crop_width": _crop_input("Width of the part to edit; 0: up to the right edge."),
                "crop_height": _crop_input(
                    "Height of the part to edit; 0: down to the lower edge."
                ),
                "inversion": inversion_input(),
            },
        }

    def execute(
        self,
        model: LoadedModel,
        image: Tensor,
        inversion_steps: int,
        resize: str,
        crop_x: int = 0,
        crop_y: int = 0,
        crop_width: int = 0,
        crop_height: int = 0,
        inversion: str = "ddim",  # what graphs mean that were saved without this input
    ) -> tuple[Latent]:
        require(BASE)
        check_images(image)
        config = model.editable.networks.config
        height, width = image.shape[1:3]
        rest = max(1, width - crop_x), max(1, height - crop_y)
        box = Box(crop_x, crop_y, crop_width or rest[0], crop_height or rest[1])
        check_box(box, width, height)
        whole = box == Box(0, 0, width, height)

        unknown: list[int] = []

        def encode_part(start, stop, on_step):
            pixels = to_pixels(image[start:stop], config.in_channels, model.label)
            framed = [
                frame_original(
                    each, config.in_channels, config.image_size, resize, None if whole else box
                )
                for each in pixels
            ]
            squares = torch.cat([square for square, _ in framed])
            unknown.extend(start + each for each in unfamiliar(model.editable, squares))
            return encode(
                model.editable,
                squares,
                inversion=inversion,
                inversion_steps=inversion_steps,
                origins=tuple(origin for _, origin in framed),
                originals=list(pixels),
                on_step=on_step,
            )

        parts = host.in_chunks(model, len(image), inversion_steps, encode_part)
        if text := unfamiliar_text(model.label, sorted(set(unknown)), len(image)):
            logger.warning("CL-Dis: %s", text)
            say(text)
        return (Latent.cat(parts).map(host.to_intermediate),)


def _crop_input(tooltip: str) -> tuple[str, dict]:
    return ("INT", {"default": 0, "min": 0, "max": 1 << 16, "step": 1, "tooltip": tooltip})
