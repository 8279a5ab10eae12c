"""A finding about a run: a fact, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing to know about a run.

    Attributes:
        severity: "warning" needs a change, "note" is good to know.
        rule: short name of the rule that found it.
        text: a sentence with the fact and one with the remedy.
    """

    severity: Literal["note", "warning"]
    rule: str
    text: str
