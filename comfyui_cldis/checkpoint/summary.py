"""What a model file holds, as text and as JSON: `cldis info`, and the notes of its directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..directions.naming import describe_ends
from ..editing.direction import Direction, count_monotone
from ..editing.verdict import no_sliders_text
from ..wording import printable
from .header import Header
from .quality_text import NUM_MONOTONE, describe_quality, weakness

NO_COPILOT = "Diff-AE, imported: no co-pilot, so edits are decoded and there are no previews"


def as_json(header: Header) -> dict[str, Any]:
    """All of a header as JSON-able values, for programs.

    The monotone shares of the directions are repeated in the facts, where programs look for them.
    """
    facts = header.facts.to_dict()
    number = count_monotone(header.directions)
    if number is not None:
        shares = {each.name: each.quality.monotone for each in header.directions}
        known = {name: share for name, share in shares.items() if share is not None}
        repeated = {"monotone_share": known, NUM_MONOTONE: number}
        facts["quality"] = {**facts.get("quality", {}), **repeated}
    return {
        "format_version": header.format_version,
        "image_size": header.image_size,
        "latent_dim": header.latent_dim,
        "channels": header.config.in_channels,
        "parameters": header.parameters,
        "stored_dtype": header.stored_dtype,
        "has_copilot": header.has_copilot,
        "directions": [
            {
                "name": each.name,
                "min": each.minimum,
                "max": each.maximum,
                "negative_label": each.negative_label,
                "positive_label": each.positive_label,
                "effect": each.effect,
                "quality": each.quality.to_dict(),
            }
            for each in header.directions
        ],
        "facts": facts,
    }


def as_text(header: Header, file_name: str) -> str:
    """A header for reading: size, directions, training, quality and data."""
    facts = header.facts
    licence, *more = (facts.licence or "not stated").splitlines()
    lines = [
        f"{file_name}: {facts.name or 'CL-Dis model'}",
        f"  format version {header.format_version}",
        f"  images         {header.image_size} x {header.image_size} pixels, "
        f"{header.config.in_channels} channels",
        f"  latent         {header.latent_dim} scalars",
        f"  weights        {header.parameters:,}, stored as {header.stored_dtype}",
        f"  licence        {licence}",
        *(f"                 {line}" for line in more),
        *([] if header.has_copilot else [f"  networks       {NO_COPILOT}"]),
        "",
        f"Directions, strongest first, with {ranges_in_words(header.directions)}:",
    ]
    notes = {
        name: note and f", {note}" for name, note in direction_notes(header.directions).items()
    }
    width = max((len(each.name) for each in header.directions), default=0)
    lines += [
        f"  {each.name:<{width}}  {range_with_ends(each)}   "
        f"(effect {each.effect:.3f}{notes[each.name]})"
        for each in header.directions
    ] or ["  none"]
    lines += [f"  {text}"] if (text := no_sliders_text(header)) else []
    training = facts.training.to_dict()
    if training:
        lines += ["", "Training:"]
        lines += [
            f"  {name}: {value}"
            for name, value in training.items()
            if not isinstance(value, dict)  # in --json and in the model card
        ]
    quality = describe_quality(facts.quality, header.directions)
    if quality and (header.directions or facts.quality.to_dict()):
        lines += ["", "Quality:", *(f"  {name}: {text}" for name, text in quality)]
    if facts.data_card:
        lines += ["", "Data:", *(f"  {line}" for line in facts.data_card.splitlines())]
    return "\n".join(printable(line.expandtabs()) for line in lines)


def direction_notes(directions: Sequence[Direction]) -> dict[str, str]:
    """Name of each direction -> what speaks against it, such as "weak"; "" for nothing."""
    strongest = max((each.effect for each in directions), default=0.0)
    return {
        each.name: weakness(each.effect, strongest, each.quality.monotone) for each in directions
    }


def ranges_in_words(directions: Sequence[Direction]) -> str:
    """What the ranges of directions are and what they are counted in, as part of a sentence."""
    if all(each.scale is None for each in directions):
        return "the range seen in training (0.5 to 99.5 %) in standard deviations"
    return (
        "the range seen in training (0.5 to 99.5 %, without ends where nothing is seen to change); "
        "equal steps change images about equally, and 1 is about one standard deviation"
    )


def range_with_ends(direction: Direction) -> str:
    """Such as "-2.00 short .. +2.50 long", without words where the ends are not known."""
    low, high = f"{direction.minimum:+.2f}", f"{direction.maximum:+.2f}"
    if not describe_ends(direction.negative_label, direction.positive_label):
        return f"{low} .. {high}"
    return f"{low} {direction.negative_label} .. {high} {direction.positive_label}"
