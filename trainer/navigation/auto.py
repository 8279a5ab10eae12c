"""Several finders tried, and the best kept by content tracking on images held out of `joint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from comfyui_cldis.tracking import STAGES, check_seed

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
    It needs no labels. Images are decoded in full, of base items whose effects `joint` does not
    look at; their codes are among those that `ica` and `joint` make independent. A candidate that
    cannot be used here, as with too few images, is left out; the facts say why. With too few to
    compare on, only the axes are sought.

    Args:
        settings: the finder in them plays no part.
        find: a search with one finder.

    Raises:
        ValueError: as of the first candidate, the axes; or a seed that no comparison takes.
        KeyboardInterrupt: `watch` asked to stop.
    """
    check_seed(seed)  # before any comparison could fail for it
    asked = Watch(should_stop=watch.should_stop)
    try:
        items = held_out(len(space.codes))
    except ValueError as error:
        first = CANDIDATES[0]
        basis = find(replace(settings, finder=first), asked)
        return _kept(first, basis, {}, dict.fromkeys(CANDIDATES, str(error)))
    total = len(CANDIDATES) * len(STAGES)
    found: dict[str, Basis] = {}
    scores: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for index, name in enumerate(CANDIDATES):
        done = index * len(STAGES)

        def on_progress(stage: str, fraction: float, done: int = done) -> None:
            watch.report(done + STAGES.index(stage) + int(fraction), total)

        try:
            basis = find(replace(settings, finder=name), asked)
            found[name] = basis
            scores[name] = space.separation(basis.vectors, items, seed, on_progress)
        except ValueError as error:
            if not found:
                raise
            left_out[name] = str(error)
    best = max(scores, key=lambda name: scores[name], default=CANDIDATES[0])
    return _kept(best, found[best], scores, left_out)


def _kept(name: str, basis: Basis, scores: dict[str, float], left_out: dict[str, str]) -> Basis:
    """The basis of the candidate that was chosen, with the facts of the choice."""
    facts = {
        "chosen": name,
        "separation": {each: round(score, 4) for each, score in scores.items()},
        "left_out": left_out,
        **basis.facts,
    }
    return replace(basis, finder="auto", facts=facts)


def describe_choice(basis: Basis) -> list[str]:
    """What `best_of` chose and why, in sentences; none for the basis of another finder."""
    if "chosen" not in basis.facts:
        return []
    scores = basis.facts["separation"]
    compared = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
    reason = f"; content tracking on held-out images gives {compared}" if scores else ""
    sentences = [f"The finder auto chose {basis.facts['chosen']}{reason}."]
    left_out = basis.facts["left_out"].items()
    return sentences + [f"It could not compare {name}: {why}" for name, why in left_out]


def held_out(count: int) -> torch.Tensor:
    """HELD_OUT of `count` base items that are none of those whose effects `joint` measures.

    Raises:
        ValueError: there are not as many.
    """
    least = BASE_ITEMS + HELD_OUT
    if count < least:
        raise ValueError(
            f"The finder 'auto' got {count} images, too few to hold {HELD_OUT} out. "
            f"Give at least {least}."
        )
    seen = set(evenly(count, BASE_ITEMS).tolist())
    rest = torch.tensor([item for item in range(count) if item not in seen])
    return rest[torch.from_numpy(evenly(len(rest), HELD_OUT))]
