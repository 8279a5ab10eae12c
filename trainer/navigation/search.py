"""Finds directions with the finder that the settings name: the one door of this package."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from comfyui_cldis.tracking.flow import flow_method
from comfyui_cldis.wording import counted

from .active import Active, active_dimensions
from .auto import best_of
from .basis import Basis, place
from .jacobian import jacobian_directions
from .joint import WEIGHT, joint_directions
from .learned import LearnedSearch
from .paths import bends, spread
from .pca import LEAST_RANK, independent, num_distinct, principal, varimax
from .progress import Watch
from .settings import STEPPED, NavigationSettings
from .space import ENOUGH_CODES, Space
from .weights import weight_directions

OF_IMAGES = {"pca": principal, "varimax": varimax, "ica": independent}
WEIGHTS = {"sparse": 0.0, "joint": WEIGHT}  # of independence
NEED_IMAGES = (*OF_IMAGES, *WEIGHTS, "auto")
REPORTING = (*STEPPED, *WEIGHTS, "auto", "jacobian")  # finders that tell of their progress
MOST_DIRECTIONS = 64  # of a code of more dimensions, where no number is asked for


def find(
    space: Space, settings: NavigationSettings, seed: int = 0, watch: Watch | None = None
) -> Basis:
    """Directions of a code space; equal arguments give equal directions on one device.

    Dimensions that do not change the image are dropped first.

    Raises:
        ValueError: no dimension changes the image, more directions are asked for than there are
            such dimensions, or codes that the finder cannot use.
        KeyboardInterrupt: `watch` asked to stop.
    """
    watch = watch or Watch()
    check_images(settings.finder, space.from_images)
    if settings.finder == "auto":
        return best_of(space, settings, seed, watch, partial(_find, space, seed=seed))
    return _find(space, settings, watch, seed)


def _find(space: Space, settings: NavigationSettings, watch: Watch, seed: int) -> Basis:
    """Directions by one finder."""
    active = active_dimensions(space, seed)
    count = _count(settings, active)
    rows, facts, paths = _search(space, settings, active, count, seed, watch)
    vectors = place(rows, active.dimensions, space.codes.shape[1])
    facts = {"active_dimensions": active.dimensions.tolist(), **facts}
    if paths is None:
        return Basis(settings.finder, vectors, facts)
    basis = Basis(settings.finder, vectors, facts, along(vectors, paths))
    curved = {
        "bend_degrees": [round(bend, 2) for bend in bends(basis).tolist()],
        "path_spread": round(spread(paths), 4),
    }
    return replace(basis, facts={**facts, **curved})


def along(vectors: Tensor, paths: Tensor) -> Tensor:
    """Paths (K, B, P, N), those that run against their vectors (K, N) turned round."""
    ways = (paths[:, :, -1] - paths[:, :, 0]).mean(1)
    against = (ways * vectors).sum(1) < 0
    return torch.where(against[:, None, None, None], paths.flip(2), paths)


def _search(
    space: Space, settings: NavigationSettings, active: Active, count: int, seed: int, watch: Watch
) -> tuple[Tensor, dict[str, Any], Tensor | None]:
    """Rows (K, M) over the active dimensions, facts, and paths if there are any."""
    dimensions = active.dimensions
    finder = settings.finder
    if finder == "axes":
        return torch.eye(len(dimensions))[:count], {}, None
    if finder in NEED_IMAGES:
        codes = space.spread[:, dimensions.to(space.spread.device)].cpu()
        # the first principal components need no more images than there are of them
        _check_spread(finder, codes, count if finder in OF_IMAGES else len(dimensions))
        size = min(len(dimensions), num_distinct(codes))
        if not settings.directions:
            count = min(count, size)
        _check_rank(codes, count)
        if finder in OF_IMAGES:
            return *OF_IMAGES[finder](codes, count), None
        size = max(size, count)
        weight = WEIGHTS[finder]
        return *joint_directions(space, active, codes, size, count, seed, weight, watch), None
    if finder == "weights":
        return *weight_directions(space, dimensions, count), None
    if finder == "jacobian":
        return *jacobian_directions(space, dimensions, count, seed, watch), None
    search = LearnedSearch(space, settings, active, count, seed)
    return *search.run(watch), search.paths()


def _count(settings: NavigationSettings, active: Active) -> int:
    available = len(active.dimensions)
    if settings.directions > available:
        raise ValueError(
            f"{settings.directions} directions are asked for, but only {available} dimensions of "
            f"the code change the image. Ask for {available} or fewer."
        )
    return settings.directions or min(available, MOST_DIRECTIONS)


def check_packages(finder: str) -> None:
    """Raises: ModuleNotFoundError, before hours of work, for a finder whose package is missing."""
    if finder in ("ica", "auto"):
        import sklearn  # noqa: F401
    if finder in (*WEIGHTS, "auto"):
        flow_method("dis")


def check_images(finder: str, are_given: bool) -> None:
    """Raises: ValueError for a finder that looks at the codes of images, without any."""
    if finder in NEED_IMAGES and not are_given:
        raise ValueError(
            f"The finder '{finder}' looks at how the codes of images are spread, and there are no "
            "images. Give a folder of some."
        )


def _check_rank(codes: Tensor, count: int) -> None:
    rank = num_distinct(codes, LEAST_RANK)
    if not rank:
        raise ValueError("All images have the same code. Give images that differ.")
    if count > rank:
        raise ValueError(
            f"{counted(count, 'direction')} are asked for, but the codes of the images differ in "
            f"only {counted(rank, 'way')}. Ask for {rank} or fewer."
        )


def _check_spread(finder: str, codes: Tensor, size: int) -> None:
    least = ENOUGH_CODES * size
    if len(codes) < least:
        raise ValueError(
            f"The finder '{finder}' got {len(codes)} images for {size} dimensions. "
            f"Give at least {least}."
        )
