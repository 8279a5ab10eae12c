"""Interpolation: the frames from one image to another."""

from __future__ import annotations

from ..editing.easing import eased
from ..editing.latent import Latent, are_of_one_model
from ..editing.morph import morph
from .packages import BASE, require
from .sockets import CATEGORY_EDIT, LATENT, easing_input, latent_input
from .traverse import spaced

MAXIMUM_FRAMES = 256


class Interpolate:
    DESCRIPTION = (
        "Makes the frames from one image to another, at their own size: things move and change "
        "colour on the way, and fine detail fades over. CLDis Decode Image draws the frames."
    )
    CATEGORY = CATEGORY_EDIT
    SEARCH_ALIASES = ["morph", "blend images", "in between", "tween", "latent interpolation"]
    RETURN_TYPES = (LATENT,)
    RETURN_NAMES = ("latent",)
    OUTPUT_TOOLTIPS = (
        "One item for each frame, for CLDis Decode Image or an edit of all of them.",
    )
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "latent_a": latent_input(
                    "Where it starts: the first frame is this image, at whose size all are."
                ),
                "latent_b": latent_input(
                    "Where it ends. Batches go image by image; a single one serves all of the "
                    "other's."
                ),
                "frames": (
                    "INT",
                    {
                        "default": 9,
                        "min": 2,
                        "max": MAXIMUM_FRAMES,
                        "step": 1,
                        "tooltip": "Frames for each pair of images, both ends included.",
                    },
                ),
                "easing": easing_input(),
            }
        }

    def execute(
        self, latent_a: Latent, latent_b: Latent, frames: int, easing: str
    ) -> tuple[Latent]:
        require(BASE)
        if latent_a.z.shape[1] != latent_b.z.shape[1]:
            raise ValueError(
                f"latent_a has {latent_a.z.shape[1]} scalars per image and latent_b "
                f"{latent_b.z.shape[1]}. Encode both with the same model."
            )
        if not are_of_one_model(latent_a.fingerprint, latent_b.fingerprint):
            raise ValueError(
                "latent_a and latent_b come from different models. Encode both with the same model."
            )
        if (latent_a.x_T is None) != (latent_b.x_T is None):
            raise ValueError(
                "Only one of the latents has inverted noise. Set inversion_steps of CLDis Encode "
                "Image to 0 for both, or for neither."
            )
        fractions = [eased(fraction, easing) for fraction in spaced(0, 1, frames)]
        return (morph(latent_a, latent_b, fractions),)
