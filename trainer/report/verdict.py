"""The verdict on a model's directions, and on what it draws, as findings of the report."""

from __future__ import annotations

from comfyui_cldis.checkpoint.quality_text import NAMES, ONE_DRAW, explained, explains_nothing
from comfyui_cldis.editing.described import Described
from comfyui_cldis.editing.verdict import no_sliders_text, why_no_sliders

from .finding import Finding


def no_sliders(model: Described) -> Finding | None:
    """Why a model has no sliders yet; None when some of its directions may be used."""
    verdict = why_no_sliders(model)
    if verdict is None:
        return None
    return Finding("warning", verdict.rule, no_sliders_text(model))


def nothing_drawn(model: Described) -> Finding | None:
    """An image drawn from the code with random noise that is no nearer than the mean image.

    None where the code itself explains too little, of which `no_sliders` speaks.
    """
    share, verdict = model.facts.quality.explained_variance_random_noise, why_no_sliders(model)
    if share is None or not explains_nothing(share):
        return None
    if verdict is not None and verdict.rule == "weak_code":
        return None
    fact = f"{NAMES[ONE_DRAW].capitalize()} {explained(share)}"
    return Finding("warning", "nothing_drawn", f"{fact}. Train longer, and give more images.")
