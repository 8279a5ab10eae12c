"""The verdict on a model's directions as a finding of the report."""

from __future__ import annotations

from comfyui_cldis.directions.verdict import no_sliders_text, why_no_sliders
from comfyui_cldis.editing.editable import Described

from .finding import Finding


def no_sliders(model: Described) -> Finding | None:
    """Why a model has no sliders yet; None when some of its directions may be used."""
    verdict = why_no_sliders(model)
    if verdict is None:
        return None
    return Finding("warning", verdict.rule, no_sliders_text(model))
