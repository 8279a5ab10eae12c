"""Edits: one named direction, or many at once; latent in, latent out, so they can be chained."""

from __future__ import annotations

from typing import Any

from ..editing.latent import Latent
from ..editing.pipeline import edit
from . import host
from .checks import (
    Amounts,
    accepted,
    check_latent,
    finite_amount,
    for_each,
    limited_amounts,
    parse_edits,
)
from .graph_key import upstream_key
from .live import LIVE
from .packages import BASE, require
from .sockets import (
    CATEGORY_EDIT,
    LATENT,
    LoadedModel,
    direction_input,
    latent_input,
    model_input,
)

SHOWN = ("model", "latent")  # the inputs of CLDis Edit Sliders that its picture depends on


class EditDirection:
    DESCRIPTION = (
        "Moves a latent along one named direction of the model. Chain several to combine edits; "
        "amount 0 changes nothing at all."
    )
    CATEGORY = CATEGORY_EDIT
    SEARCH_ALIASES = [
        "latent direction",
        "attribute slider",
        "face edit",
        "move along direction",
        "age",
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
                "latent": latent_input("The latent to edit; it stays as it is."),
                "direction": direction_input(),
                "amount": (
                    "FLOAT",
                    {
                        "default": 0.0,
                        "min": -10.0,
                        "max": 10.0,
                        "step": 0.05,
                        "round": 0.001,
                        "tooltip": (
                            "How far to move, roughly in standard deviations of the training "
                            "images. 0 is no edit; the range seen in training (CLDis Model Info) "
                            "is mostly within -3 to 3, and values are applied up to 10 "
                            "times as far."
                        ),
                    },
                ),
            }
        }

    def execute(
        self, model: LoadedModel, latent: Latent, direction: str, amount: float
    ) -> tuple[Latent]:
        require(BASE)
        name = direction.strip()
        check_latent(model, latent)
        return (_apply(model, latent, {name: finite_amount(name, amount)}),)


class EditSliders:
    DESCRIPTION = (
        "Moves a latent along many directions of the model at once. The amounts are one JSON "
        "object, so the node works the same from the browser, where it shows sliders, and over "
        "the API."
    )
    CATEGORY = CATEGORY_EDIT
    SEARCH_ALIASES = [
        "sliders",
        "attribute sliders",
        "face edit",
        "expression editor",
        "latent directions",
        "concept sliders",
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
                "latent": latent_input("The latent to edit; it stays as it is."),
                "edits": (
                    "STRING",
                    {
                        "default": "{}",
                        "multiline": True,
                        "tooltip": (
                            'A JSON object {"direction": amount}, amounts roughly in standard '
                            'deviations, such as {"skin": 1.5, "light": -1}. {} is no edit. '
                            "CLDis Model Info lists the directions. A list of such objects edits "
                            "each image of a batch in its own way."
                        ),
                    },
                ),
            },
            "hidden": {"unique_id": "UNIQUE_ID", "prompt": "PROMPT"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, edits):
        return accepted(edits, parse_edits)

    def execute(
        self,
        model: LoadedModel,
        latent: Latent,
        edits: str,
        unique_id: str | None = None,
        prompt: Any = None,
    ) -> tuple[Latent]:
        require(BASE)
        check_latent(model, latent)
        # Before the edits: a run that a name stops still tells the browser its model.
        # Of a list, for which the node is called once for each item, the first is shown.
        if unique_id is not None and unique_id in (prompt or {}) and not host.list_index():
            key = upstream_key(prompt, unique_id, SHOWN)
            LIVE.offer(key, model, latent, is_awaited=host.has_listener())
        return (_apply(model, latent, parse_edits(edits)),)


def _apply(model: LoadedModel, latent: Latent, edits: Amounts | list[Amounts]) -> Latent:
    limited = for_each(edits, lambda amounts: limited_amounts(model, amounts))
    return edit(model.editable, latent, limited)
