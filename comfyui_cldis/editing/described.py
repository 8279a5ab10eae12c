"""What is known of a model without its networks."""

from __future__ import annotations

from typing import Protocol

from .direction import Direction
from .facts import ModelFacts


class Described(Protocol):
    """An `EditableModel`, or a file's header."""

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Sliders, strongest effect first."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """What is recorded of it."""
        ...
