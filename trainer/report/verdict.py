"""Whether a model's directions are of use as sliders, and what speaks against each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, NamedTuple

from comfyui_cldis.checkpoint.quality_text import weakness
from comfyui_cldis.directions.quality import MONOTONE
from comfyui_cldis.editing.editable import MONOTONE_SHARE
from comfyui_cldis.wording import counted

from ..monitor.metrics_file import finite
from .finding import Finding

WEAK_CODE = 0.2  # explained variance with random noise up to which directions show little


class Verdict(NamedTuple):
    """Why a model has no sliders yet.

    Attributes:
        rule: short name of what is wrong.
        fact: a clause with the fact, without a full stop.
        remedy: a sentence.
    """

    rule: str
    fact: str
    remedy: str


def why_no_sliders(facts: Mapping[str, Any]) -> Verdict | None:
    """What is wrong with all directions of a model together; None when some may be used.

    Evaluated by the share of the images' variance that the code explains with random noise, by
    whether there is any direction, and by whether any of them changes the images evenly. What was
    not measured is not held against a model.

    Args:
        facts: of the exported model, as `report.write_report` takes them.
    """
    quality = as_mapping(facts.get("quality"))
    explained = finite(quality.get("explained_variance_random_noise"))
    if explained is not None and explained <= WEAK_CODE:
        share = f"only {100 * explained:.0f} %" if explained > 0 else "nothing"
        fact = (
            "the images do not follow the code yet: the code explains "
            f"{share} of what differs between the images"
        )
        return Verdict("weak_code", fact, "Train longer.")
    directions = directions_of(facts)
    if not directions:
        if not isinstance(facts.get("directions"), list | tuple):
            return None  # not known
        fact = "the images do not follow the code yet: no latent changes them visibly"
        return Verdict("weak_code", fact, "Train longer.")
    shares = [monotone_share(each, quality) for each in directions]
    if any(share is None or share >= MONOTONE_SHARE for share in shares):
        return None
    fact = f"no direction changes the images evenly on {100 * MONOTONE_SHARE:.0f} % of them"
    remedy = "Train longer, or look for other directions with python -m trainer navigate."
    return Verdict("uneven_directions", fact, remedy)


def no_sliders(facts: Mapping[str, Any]) -> Finding | None:
    """The verdict as a finding that says what becomes of the directions."""
    verdict = why_no_sliders(facts)
    if verdict is None:
        return None
    count = len(directions_of(facts))
    if not count:
        result = "there are no sliders"
    elif count == 1:
        result = "the one direction found is no slider yet"
    else:
        result = f"the {counted(count, 'direction')} found are no sliders yet"
    fact = verdict.fact[:1].upper() + verdict.fact[1:]
    return Finding("warning", verdict.rule, f"{fact}, so {result}. {verdict.remedy}")


def directions_of(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The directions of a model as mappings; empty when none are known."""
    listed = facts.get("directions")
    return [as_mapping(item) for item in listed] if isinstance(listed, list | tuple) else []


def warnings_about(facts: Mapping[str, Any]) -> list[str]:
    """For each direction what speaks against it as a slider, in a few words; "" for nothing."""
    items = directions_of(facts)
    quality = as_mapping(facts.get("quality"))
    effects = [finite(item.get("effect")) for item in items]
    strongest = max((effect for effect in effects if effect is not None), default=0.0)
    return [
        weakness(strongest if effect is None else effect, strongest, monotone_share(item, quality))
        for item, effect in zip(items, effects, strict=True)
    ]


def monotone_share(direction: Mapping[str, Any], quality: Mapping[str, Any]) -> float | None:
    """Share of the images on which a direction is monotone; None when it was not measured.

    Where it was measured twice, in the facts and with the direction, the worse figure counts.
    """
    known = (
        finite(as_mapping(quality.get("monotone_share")).get(str(direction.get("name", "")))),
        finite(as_mapping(direction.get("quality")).get(MONOTONE)),
    )
    return min((share for share in known if share is not None), default=None)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value as a mapping: itself, the fields of a dataclass, or nothing."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value if isinstance(value, Mapping) else {}
