"""Several finders tried, and the best kept by content tracking on images that none has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from comfyui_cldis.tracking import STAGES

from ..config.settings import Finder
from ..data.evenly import evenly
from .basis import Basis
from .joint import BASE_ITEMS
from .progress import Watch
from .settings import NavigationSettings
from .space import Space

CANDIDATES: tuple[Finder, ...] = ("axes", "ica", "joint")  # those that train nothing
HELD_OUT = 12  # base items that directions are compared on

FindOne = Callable[[NavigationSettings, Watch], Basis]


def best_of(
    space: Space, settings: NavigationSettings, seed: int, watch: Watch, find: FindOne
) -> Basis:
    """The basis of the candidate with the highest separation; of equal ones the first.

    Separation is the content-tracking score without A, which is the same for all: docs/tracking.md.
    It needs no labels. Images are decoded in full, of base items that `joint` leaves out.

    Args:
        settings: the finder in them plays no part.
        find: a search with one finder.

    Raises:
        ValueError: too few base items, or as of the candidates.
        KeyboardInterrupt: `watch` asked to stop.
    """
    items = held_out(len(space.codes))
    total = len(CANDIDATES) * len(STAGES)
    found: dict[str, Basis] = {}
    scores: dict[str, float] = {}
    for index, name in enumerate(CANDIDATES):
        done = index * len(STAGES)

        def on_progress(stage: str, fraction: float, done: int = done) -> None:
            watch.report(done + STAGES.index(stage) + int(fraction), total)

        basis = find(replace(settings, finder=name), Watch(should_stop=watch.should_stop))
        found[name] = basis
        scores[name] = space.separation(basis.vectors, items, seed, on_progress)
    best = max(scores, key=lambda name: scores[name])
    facts = {
        "chosen": best,
        "separation": {name: round(score, 4) for name, score in scores.items()},
        **found[best].facts,
    }
    return replace(found[best], finder="auto", facts=facts)


def held_out(count: int) -> torch.Tensor:
    """HELD_OUT of `count` base items that are none of those whose effects `joint` measures.

    Raises:
        ValueError: there are not as many.
    """
    least = BASE_ITEMS + HELD_OUT
    if count < least:
        raise ValueError(
            f"The finder 'auto' got {count} images, and compares directions on {HELD_OUT} that no "
            f"search has looked at. Give at least {least}."
        )
    seen = set(evenly(count, BASE_ITEMS).tolist())
    rest = torch.tensor([item for item in range(count) if item not in seen])
    return rest[torch.from_numpy(evenly(len(rest), HELD_OUT))]
