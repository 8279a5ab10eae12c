"""How a search that takes steps is followed, stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

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

    def report(self, done: int, total: int) -> None:
        """After a step of a search that keeps no state.

        Raises:
            KeyboardInterrupt: asked to stop.
        """
        if self.on_step is not None:
            self.on_step(done, total, {})
        if self.should_stop is not None and self.should_stop():
            raise KeyboardInterrupt


def on_bar(bar: tqdm) -> OnStep:
    """Show the steps on a bar, which learns from the first of them how many there are."""

    def on_step(done: int, total: int, figures: dict[str, float]) -> None:
        bar.total = total
        if figures:
            bar.set_postfix({name: f"{value:.3g}" for name, value in figures.items()})
        bar.update(done - bar.n)

    return on_step
