"""Encoding: images become latents, that is factors and the noise that holds the rest."""

from __future__ import annotations

from torch import Tensor

from ..editing.framing import RESIZE_RULES, frame
from ..editing.latent import Latent
from ..editing.pipeline import encode
from . import host
from .images import check_images, to_library
from .packages import BASE, require
from .sockets import CATEGORY_SAMPLING, LATENT, MAXIMUM_STEPS, LoadedModel, model_input


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
                            "Passes that search the image's noise. More reproduces details "
                            "better; 0 skips the search, and CLDis Decode must then use a seed."
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
            }
        }

    def execute(
        self, model: LoadedModel, image: Tensor, inversion_steps: int, resize: str
    ) -> tuple[Latent]:
        require(BASE)
        check_images(image)
        config = model.editable.networks.config

        def encode_part(start, stop, on_step):
            pixels = to_library(image[start:stop], config.in_channels, model.label)
            framed, origins = frame(pixels, config.image_size, resize)
            return encode(
                model.editable,
                framed,
                inversion_steps=inversion_steps,
                origins=origins,
                on_step=on_step,
            )

        parts = host.in_chunks(model, len(image), inversion_steps, encode_part)
        return (Latent.cat(parts).map(host.to_intermediate),)
