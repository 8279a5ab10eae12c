"""What a model file holds, as text and as JSON: `cldis info`, and the notes of its directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..directions.naming import describe_ends
from ..directions.quality import MONOTONE
from ..editing.direction import Direction
from .header import Header
from .quality_text import describe_quality, weakness


def as_json(header: Header) -> dict[str, Any]:
    """All of a header as JSON-able values, for programs."""
    return {
        "format_version": header.format_version,
        "image_size": header.image_size,
        "latent_dim": header.latent_dim,
        "channels": header.config.in_channels,
        "parameters": header.parameters,
        "stored_dtype": header.stored_dtype,
        "directions": [
            {
                "name": each.name,
                "min": each.minimum,
                "max": each.maximum,
                "negative_label": each.negative_label,
                "positive_label": each.positive_label,
                "effect": each.effect,
                "quality": dict(each.quality),
            }
            for each in header.directions
        ],
        "facts": dict(header.facts),
    }


def as_text(header: Header, file_name: str) -> str:
    """A header for reading: size, directions, training, quality and data."""
    lines = [
        f"{file_name}: {header.facts.get('name', 'CL-Dis model')}",
        f"  format version {header.format_version}",
        f"  images         {header.image_size} x {header.image_size} pixels, "
        f"{header.config.in_channels} channels",
        f"  latent         {header.latent_dim} scalars",
        f"  weights        {header.parameters:,}, stored as {header.stored_dtype}",
        f"  licence        {header.facts.get('licence', 'not stated')}",
        "",
        "Directions, strongest first, with the range seen in training (0.5 to 99.5 %) in standard "
        "deviations:",
    ]
    notes = {
        name: note and f", {note}"
        for name, note in direction_notes(header.directions, header.facts).items()
    }
    width = max((len(each.name) for each in header.directions), default=0)
    lines += [
        f"  {each.name:<{width}}  {range_with_ends(each)}   "
        f"(effect {each.effect:.3f}{notes[each.name]})"
        for each in header.directions
    ] or ["  none"]
    training, quality = header.facts.get("training"), header.facts.get("quality")
    if isinstance(training, dict) and training:
        lines += ["", "Training:"]
        lines += [
            f"  {name}: {value}"
            for name, value in training.items()
            if not isinstance(value, dict)  # in --json and in the model card
        ]
    if isinstance(quality, dict) and quality:
        lines += [
            "",
            "Quality:",
            *(f"  {name}: {text}" for name, text in describe_quality(quality)),
        ]
    if header.facts.get("data_card"):
        lines += [
            "",
            "Data:",
            *(f"  {line}" for line in str(header.facts["data_card"]).split("\n")),
        ]
    return "\n".join(lines)


def direction_notes(directions: Sequence[Direction], facts: Mapping[str, Any]) -> dict[str, str]:
    """Name of each direction -> what speaks against it, such as "weak"; "" for nothing.

    Where evenness was measured twice, in the facts and with the direction, the worse figure counts:
    a look at a few images does not take back what many have shown.
    """
    quality = facts.get("quality")
    shares = quality.get("monotone_share") if isinstance(quality, Mapping) else None
    strongest = max((each.effect for each in directions), default=0.0)
    notes = {}
    for each in directions:
        share = shares.get(each.name) if isinstance(shares, Mapping) else None
        found = [
            float(s) for s in (share, each.quality.get(MONOTONE)) if isinstance(s, int | float)
        ]
        notes[each.name] = weakness(each.effect, strongest, min(found, default=None))
    return notes


def range_with_ends(direction: Direction) -> str:
    """Such as "-2.00 short .. +2.50 long", without words where the ends are not known."""
    low, high = f"{direction.minimum:+.2f}", f"{direction.maximum:+.2f}"
    if not describe_ends(direction.negative_label, direction.positive_label):
        return f"{low} .. {high}"
    return f"{low} {direction.negative_label} .. {high} {direction.positive_label}"
