"""What is said of a run: one thing to know, and what to do."""

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
