"""Finds directions with the finder that the settings name: the one door of this package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .active import Live, live_dimensions
from .basis import Basis, place
from .jacobian import jacobian_directions
from .learned import LearnedSearch
from .paths import bends, spread
from .pca import independent, num_distinct, principal, varimax
from .progress import Watch
from .settings import NavigationSettings
from .space import Space
from .weights import weight_directions

OF_PICTURES = {"pca": principal, "varimax": varimax, "ica": independent}
ENOUGH_CODES = 10  # pictures per live dimension that a covariance needs


def find(
    space: Space, settings: NavigationSettings, seed: int = 0, watch: Watch | None = None
) -> Basis:
    """Directions of a code space; equal arguments give equal directions on one device.

    Dimensions that do not change the picture are dropped first.

    Raises:
        ValueError: no dimension changes the picture, more directions are asked for than there are
            such dimensions, or codes that the finder cannot use.
        KeyboardInterrupt: `watch` asked to stop.
    """
    live = live_dimensions(space, seed)
    count = _count(settings, live)
    rows, facts, paths = _search(space, settings, live, count, seed, watch or Watch())
    vectors = place(rows, live.dimensions, space.codes.shape[1])
    facts = {"live_dimensions": live.dimensions.tolist(), **facts}
    if paths is None:
        return Basis(settings.finder, vectors, facts)
    basis = Basis(settings.finder, vectors, facts, _along(vectors, paths))
    curved = {
        "bend_degrees": [round(bend, 2) for bend in bends(basis).tolist()],
        "path_spread": round(spread(paths), 4),
    }
    return replace(basis, facts={**facts, **curved})


def _along(vectors: Tensor, paths: Tensor) -> Tensor:
    """Paths (K, B, P, N), those that run against their vectors (K, N) turned round."""
    ways = (paths[:, :, -1] - paths[:, :, 0]).mean(1)
    against = (ways * vectors).sum(1) < 0
    return torch.where(against[:, None, None, None], paths.flip(2), paths)


def _search(
    space: Space, settings: NavigationSettings, live: Live, count: int, seed: int, watch: Watch
) -> tuple[Tensor, dict[str, Any], Tensor | None]:
    """Rows (K, M) over the live dimensions, facts, and paths if there are any."""
    dimensions = live.dimensions
    finder = settings.finder
    if finder == "axes":
        return torch.eye(len(dimensions))[:count], {}, None
    if finder in OF_PICTURES:
        codes = space.spread[:, dimensions.to(space.spread.device)].cpu()
        check_pictures(finder, space.from_pictures)
        _check_spread(finder, codes)
        if not settings.directions:
            count = min(count, num_distinct(codes))
        return *OF_PICTURES[finder](codes, count), None
    if finder == "weights":
        return *weight_directions(space, dimensions, count), None
    if finder == "jacobian":
        return *jacobian_directions(space, dimensions, count, seed), None
    search = LearnedSearch(space, settings, live, count, seed)
    return *search.run(watch), search.paths()


def _count(settings: NavigationSettings, live: Live) -> int:
    available = len(live.dimensions)
    if settings.directions > available:
        raise ValueError(
            f"{settings.directions} directions are asked for, but only {available} dimensions of "
            f"the code change the picture. Ask for {available} or fewer."
        )
    return settings.directions or available


def check_pictures(finder: str, are_given: bool) -> None:
    """Raises: ValueError for a finder that looks at the codes of pictures, without any."""
    if finder in OF_PICTURES and not are_given:
        raise ValueError(
            f"The finder '{finder}' looks at how the codes of pictures are spread, and there are "
            "no pictures. Give some with --data."
        )


def _check_spread(finder: str, codes: Tensor) -> None:
    least = ENOUGH_CODES * codes.shape[1]
    if len(codes) < least:
        raise ValueError(
            f"The finder '{finder}' got {len(codes)} pictures for {codes.shape[1]} dimensions. "
            f"Give at least {least}."
        )
