"""Sampling: new images from the model alone."""

from __future__ import annotations

from torch import Tensor

from ..diffusion.noise import MAXIMUM_SEED
from ..editing.latent import Latent
from ..editing.sampling import MAXIMUM_TRUNCATION, NUM_STEPS, SAMPLER, TRUNCATION, sample_images
from . import host
from .images import check_channels, to_comfyui
from .packages import BASE, require
from .sockets import (
    CATEGORY_SAMPLING,
    LATENT,
    LoadedModel,
    model_input,
    sampler_input,
    steps_input,
)

MAXIMUM_BATCH = 64


class Sample:
    DESCRIPTION = (
        "Draws new images that look like those the model was trained on, at the model's size. "
        "They can be edited like images that were encoded."
    )
    CATEGORY = CATEGORY_SAMPLING
    SEARCH_ALIASES = ["generate", "random image", "random face", "prior", "new images"]
    RETURN_TYPES = (LATENT, "IMAGE")
    RETURN_NAMES = ("latent", "image")
    OUTPUT_TOOLTIPS = (
        "The new images with their factors, for the edit nodes and CLDis Decode Image.",
        "The new images, at the model's size.",
    )
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        samplers, _ = sampler_input()
        steps, steps_options = steps_input()
        return {
            "required": {
                "model": model_input(),
                "batch_size": (
                    "INT",
                    {
                        "default": 4,
                        "min": 1,
                        "max": MAXIMUM_BATCH,
                        "step": 1,
                        "tooltip": "How many images are drawn.",
                    },
                ),
                "seed": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": MAXIMUM_SEED,
                        "control_after_generate": True,
                        "tooltip": (
                            "Decides factors and noise of the first image; image b of the batch "
                            "uses seed + b, and is the same whatever the size of the batch."
                        ),
                    },
                ),
                "truncation": (
                    "FLOAT",
                    {
                        "default": TRUNCATION,
                        "min": 0.0,
                        "max": MAXIMUM_TRUNCATION,
                        "step": 0.05,
                        "round": 0.001,
                        "tooltip": (
                            "How far images may be from the average: 0 gives all of them the mean "
                            "factors, 1 varies them as in training, more is bolder and fails more "
                            "often."
                        ),
                    },
                ),
                "sampler": (
                    samplers,
                    {
                        "default": SAMPLER,
                        "tooltip": "How noise becomes an image. dpmpp_2m and unipc are cleanest.",
                    },
                ),
                "steps": (
                    steps,
                    {
                        **steps_options,
                        "default": NUM_STEPS,
                        "tooltip": (
                            "Passes of the decoder. About 10 with dpmpp_2m or unipc, 20 with "
                            "ddim; more may be grainier."
                        ),
                    },
                ),
            }
        }

    def execute(
        self,
        model: LoadedModel,
        batch_size: int,
        seed: int,
        truncation: float,
        sampler: str,
        steps: int,
    ) -> tuple[Latent, Tensor]:
        require(BASE)
        check_channels(model.editable.networks.config.in_channels, model.label)

        def sample_part(start, stop, on_step):
            host.raise_if_interrupted()
            return sample_images(
                model.editable,
                stop - start,
                (seed + start) % (MAXIMUM_SEED + 1),
                truncation=truncation,
                sampler=sampler,
                num_steps=steps,
                on_step=on_step,
            )

        parts = host.in_chunks(model, batch_size, steps, sample_part, use_preview=True)
        latent = Latent.cat(parts)
        image = to_comfyui([source.pixels for source in latent.sources])
        return latent.map(host.to_intermediate), host.to_intermediate(image)
