"""Whether a model's directions are of use as sliders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..wording import counted
from .described import Described
from .facts import IMPORTED, MONOTONE_SHARE

WEAK_CODE = 0.2  # variance explained by the code up to which directions show little


class Verdict(NamedTuple):
    """Why a model has no sliders yet.

    Attributes:
        rule: short name of what is wrong.
        fact: a clause with the fact, without a full stop; "as" may go before it.
        remedy: a sentence.
    """

    rule: str
    fact: str
    remedy: str


def why_no_sliders(model: Described) -> Verdict | None:
    """What is wrong with all directions of a model together; None when some may be used.

    The criteria: whether more than the co-pilot was trained, the share of the images' variance that
    the code explains, whether there is any direction, and whether any of them is monotone. What was
    not measured is not held against a model.
    """
    loop = model.facts.training.config.get("loop")
    if isinstance(loop, Mapping) and loop.get("copilot_only") is True:
        remedy = "For sliders, train a new run with loop.copilot_only off."
        return Verdict("copilot_only", "only the co-pilot was trained", remedy)
    explained = model.facts.quality.code_explains
    if explained is not None and explained <= WEAK_CODE:
        share = f"only {100 * explained:.0f} %" if explained > 0 else "nothing"
        fact = (
            "the images do not follow the code yet: the code explains "
            f"{share} of what differs between the images"
        )
        return Verdict("weak_code", fact, "Train longer.")
    if not model.directions and explained is None and IMPORTED in model.facts.other:
        fact = "no directions were looked for since the model was imported"
        return Verdict("not_looked_for", fact, "Find some with the trainer: cldis navigate.")
    if not model.directions:
        fact = "the images do not follow the code yet: no latent changes them visibly"
        return Verdict("weak_code", fact, "Train longer.")
    if any(each.quality.is_monotone in (None, True) for each in model.directions):
        return None
    fact = f"no direction is monotone on {100 * MONOTONE_SHARE:.0f} % of the images"
    remedy = "Train longer, or look for others with the trainer: cldis navigate."
    return Verdict("no_monotone_direction", fact, remedy)


def why_none(model: Described) -> str:
    """Why a model has no directions, and what to do, to follow ", as"; "" where it has some."""
    verdict = None if model.directions else why_no_sliders(model)
    return "" if verdict is None else f"{verdict.fact}. {verdict.remedy}"


def no_sliders_text(model: Described) -> str:
    """The verdict in two sentences that say what becomes of the directions; "" without one."""
    verdict = why_no_sliders(model)
    if verdict is None:
        return ""
    count = len(model.directions)
    if not count:
        result = "there are no sliders"
    elif count == 1:
        result = "the one direction found is no slider yet"
    else:
        result = f"the {counted(count, 'direction')} found are no sliders yet"
    fact = verdict.fact[:1].upper() + verdict.fact[1:]
    return f"{fact}, so {result}. {verdict.remedy}"
