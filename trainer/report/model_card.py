"""The model card of a checkpoint file, as Markdown."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from comfyui_cldis.checkpoint import read_header
from comfyui_cldis.checkpoint.quality_text import describe_quality
from comfyui_cldis.checkpoint.summary import ranges_in_words
from comfyui_cldis.directions.naming import describe_ends
from comfyui_cldis.editing.described import Described

from .verdict import no_sliders

WIDTH = 90  # letters of a line that is wrapped


def write_card(path: Path) -> str:
    """Markdown text from the facts in the header of the checkpoint at `path`.

    Raises:
        FileNotFoundError, CheckpointError: no such file, or not a model file.
    """
    header = read_header(path)
    facts = header.facts
    training = facts.training.to_dict()
    training.pop("config", None)
    lines = [
        f"# Model card: {facts.name or path.stem}",
        "",
        f"Printed by `cldis card` from the header of `{path.name}`.",
        "",
        facts.data_card,
        "",
        f"- Licence: {facts.licence or 'not stated'}",
        f"- Images: {header.image_size} x {header.image_size}; code: {header.latent_dim} scalars",
        f"- Weights: {header.parameters:,}, stored as {header.stored_dtype}",
        "",
        "## Training",
        "",
        *(f"- {key}: {value}" for key, value in training.items()),
        "",
        "## Measured quality",
        "",
        *(
            f"- {name}: {value}"
            for name, value in describe_quality(facts.quality, header.directions)
        ),
        "",
        "## Directions",
        "",
        *verdict_lines(header),
        "Effect: mean absolute change between -1 and +1 sd, in [0, 2] image units, inverted noise",
        "kept. Monotone: share of images on which the change grows along the whole range.",
        *range_lines(header),
        "",
        "| direction | ends | range | effect | monotone |",
        "|---|---|---|---|---|",
    ]
    for direction in header.directions:
        share = direction.quality.monotone
        ends = describe_ends(direction.negative_label, direction.positive_label)
        lines.append(
            f"| {direction.name} | {ends} | {direction.minimum:+.2f} to {direction.maximum:+.2f} "
            f"| {direction.effect:.4f} | {'not measured' if share is None else share} |"
        )
    return "\n".join(lines) + "\n"


def range_lines(model: Described) -> list[str]:
    """What the ranges are, wrapped."""
    text = f"Range: {ranges_in_words(model.directions)}; its ends can show artefacts."
    return wrap(text, WIDTH)


def verdict_lines(model: Described) -> list[str]:
    """A paragraph where the directions are of no use as sliders yet; else nothing."""
    found = no_sliders(model)
    return [] if found is None else [found.text, ""]
