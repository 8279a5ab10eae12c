"""How a search that takes steps is followed, stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

OnStep = Callable[[int, int, dict[str, float]], object]  # steps done, of how many, figures


@dataclass(frozen=True)
class Watch:
    """Hooks of a search.

    Attributes:
        on_step: called after each step.
        should_stop: asked after each step; True saves the state and raises KeyboardInterrupt.
        folder: where the state is kept; None keeps none.
    """

    on_step: OnStep | None = None
    should_stop: Callable[[], bool] | None = None
    folder: Path | None = None
