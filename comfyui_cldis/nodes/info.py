"""What a model is and can do, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..checkpoint.summary import NO_COPILOT, direction_notes, ranges_in_words
from ..directions.naming import describe_ends
from ..editing.verdict import no_sliders_text
from .packages import BASE, require
from .sockets import CATEGORY, LoadedModel, model_input


class ModelInfo:
    DESCRIPTION = (
        "Lists a model's directions with the ranges seen in training, its size, data card and "
        "licence as text. Connect it to Preview as Text."
    )
    CATEGORY = CATEGORY
    SEARCH_ALIASES = [
        "list directions",
        "model card",
        "data card",
        "slider names",
        "metadata",
    ]
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("info",)
    OUTPUT_TOOLTIPS = ("Directions, ranges, data card, licence and training of the model.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": model_input()}}

    def execute(self, model: LoadedModel) -> tuple[str]:
        require(BASE)
        return (describe(model),)


def describe(model: LoadedModel) -> str:
    """The model's facts as plain text, directions first."""
    editable = model.editable
    config = editable.networks.config
    facts = editable.facts.to_dict()
    lines = [
        f"{facts.pop('name', model.label)} ({model.label})",
        f"{config.image_size} x {config.image_size} pixels, {config.in_channels} channels, "
        f"{config.latent_dim} latent scalars",
        *([] if editable.networks.has_copilot else [NO_COPILOT]),
        "",
        f"Directions, strongest effect first, with {ranges_in_words(editable.directions)}:",
    ]
    notes = direction_notes(editable.directions)
    for direction in editable.directions:
        labels = direction.negative_label, direction.positive_label
        ends = " / ".join(labels) if describe_ends(*labels) else ""
        known = [text for text in (ends, notes[direction.name]) if text]
        lines.append(
            f"- {direction.name}: {direction.minimum:+.2f} to {direction.maximum:+.2f}"
            + (f"  ({', '.join(known)})" if known else "")
        )
    if not editable.directions:
        lines.append("- none")
    if text := no_sliders_text(editable):
        lines.append(text)
    for key, value in facts.items():
        lines += ["", *_paragraph(key.replace("_", " ").capitalize(), value)]
    return "\n".join(lines)


def _paragraph(title: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{title}:", *(f"- {key}: {_text(each)}" for key, each in value.items())]
    return [f"{title}: {_text(value)}"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
