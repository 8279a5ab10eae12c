"""Presets: edits that were saved under a name."""

from __future__ import annotations

import json

from .checks import accepted, for_each, parse_edits
from .packages import BASE, require
from .preset_files import fingerprint, preset_names, read_preset
from .sockets import CATEGORY_EDIT

NONE = "none"


class LoadPreset:
    DESCRIPTION = (
        "Reads edits that were saved in CLDis Edit Sliders, for its input edits. Presets lie in "
        "models/cldis/presets, a folder for each model."
    )
    CATEGORY = CATEGORY_EDIT
    SEARCH_ALIASES = ["load expression", "slider preset", "saved edits", "load sliders"]
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("edits",)
    OUTPUT_TOOLTIPS = ("The edits as JSON, for the input edits of CLDis Edit Sliders.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "preset": (
                    [NONE, *preset_names()],
                    {
                        "default": NONE,
                        "tooltip": "A preset as MODEL/NAME; none is no edit. R looks for new ones.",
                    },
                ),
                "amount": (
                    "FLOAT",
                    {
                        "default": 1.0,
                        "min": -3.0,
                        "max": 3.0,
                        "step": 0.05,
                        "round": 0.001,
                        "tooltip": "What all amounts are multiplied by: 0 no edit, 1 as saved.",
                    },
                ),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, preset):
        return accepted(preset, _edits_of)

    @classmethod
    def IS_CHANGED(cls, preset, amount):
        return f"{preset} {fingerprint(preset)} {amount}"

    def execute(self, preset: str, amount: float) -> tuple[str]:
        require(BASE)
        scaled = for_each(
            parse_edits(_edits_of(preset)),
            lambda amounts: {name: value * amount for name, value in amounts.items()},
        )
        return (json.dumps(scaled, ensure_ascii=False),)


def _edits_of(preset: str) -> str:
    return "{}" if preset == NONE else read_preset(preset)
