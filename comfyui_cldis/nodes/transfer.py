"""Transfer: factors of one image for another, along named directions."""

from __future__ import annotations

from ..editing.latent import Latent
from ..editing.transfer import MAXIMUM_STRENGTH, transfer
from .checks import check_directions, check_latent
from .packages import BASE, require
from .sockets import CATEGORY_EDIT, LATENT, LoadedModel, latent_input, model_input


class TransferFactors:
    DESCRIPTION = (
        "Gives an image the factors of another one, such as its hair colour or the turn of its "
        "head: only those that are named, or all of the model's."
    )
    CATEGORY = CATEGORY_EDIT
    SEARCH_ALIASES = [
        "attribute transfer",
        "face swap",
        "style transfer",
        "expression transfer",
        "copy factors",
        "reference image",
    ]
    RETURN_TYPES = (LATENT,)
    RETURN_NAMES = ("latent",)
    OUTPUT_TOOLTIPS = ("The moved latent, for CLDis Decode Image or another edit.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": model_input(),
                "latent": latent_input("The images to change; the latent stays as it is."),
                "reference": latent_input(
                    "Where the factors come from: one image for all, or one for each."
                ),
                "factors": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": (
                            "Names of directions with commas between them, such as: skin, light. "
                            "Empty: all of the model's; a few look better. CLDis Model Info lists "
                            "them."
                        ),
                    },
                ),
                "strength": (
                    "FLOAT",
                    {
                        "default": 1.0,
                        "min": 0.0,
                        "max": MAXIMUM_STRENGTH,
                        "step": 0.05,
                        "round": 0.001,
                        "tooltip": (
                            "Share of the way to the reference: 0 changes nothing, 1 gives its "
                            "factors, more exaggerates them."
                        ),
                    },
                ),
            }
        }

    def execute(
        self, model: LoadedModel, latent: Latent, reference: Latent, factors: str, strength: float
    ) -> tuple[Latent]:
        require(BASE)
        names = tuple(name for part in factors.split(",") if (name := part.strip()))
        check_latent(model, latent)
        check_latent(model, reference)
        check_directions(model, names)
        return (transfer(model.editable, latent, reference, names, strength),)
