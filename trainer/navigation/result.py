"""From a basis to a model that has its directions: ranked, ranged, named, and evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from comfyui_cldis.directions.axes import axis_ranges
from comfyui_cldis.directions.even import draws_previews, even_directions
from comfyui_cldis.directions.ranking import rank_vectors
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent

from ..model_quality import measure_directions
from .basis import Basis
from .paths import slider_amounts, slider_paths
from .space import Space

SAME = 0.95  # cosine from which a direction is one that the model has: 18 degrees
RANKING_BASES = 8


def safe_ranges(space: Space, basis: Basis, model: EditableModel) -> Tensor:
    """(K, 2): 0.5 and 99.5 % quantiles of the amounts of the directions, in standard deviations.

    Amounts are those at which the sliders together come nearest to a code. A path is not followed
    beyond its ends. Axes take the quantiles that the model's file records, which come from more
    images.
    """
    amounts = slider_amounts(basis, space.spread).double()
    quantiles = torch.quantile(amounts, torch.tensor([0.005, 0.995]).double(), dim=0).T.float()
    paths = slider_paths(basis)
    for index, path in enumerate(paths):
        if path is not None:
            quantiles[index] = quantiles[index].clamp(path.amounts[0], path.amounts[-1])
    is_bent = torch.tensor([path is not None for path in paths])
    is_axis = (basis.vectors.abs().amax(1) == 1) & ~is_bent
    recorded = axis_ranges(model.statistics)[basis.vectors.abs().argmax(1)]
    return torch.where(is_axis[:, None], recorded, quantiles)


def visible_directions(
    model: EditableModel,
    space: Space,
    basis: Basis,
    bases: Latent,
    on_vector: Callable[[int], object] | None = None,
) -> tuple[Direction, ...]:
    """The directions of a basis that change the image visibly, strongest first; maybe none."""
    ranges = safe_ranges(space, basis, model)
    return rank_vectors(
        model, bases, basis.vectors, ranges, paths=slider_paths(basis), on_vector=on_vector
    )


def with_basis(
    model: EditableModel,
    space: Space,
    basis: Basis,
    bases: Latent,
    facts: dict[str, Any],
    on_vector: Callable[[int], object] | None = None,
    on_direction: Callable[..., object] | None = None,
) -> EditableModel:
    """The model with the visible directions of a basis in place of its own, strongest first.

    Their quality and thumbnails are measured as at the end of a run. A direction that the model
    has already, but for 18 degrees, keeps that one's name and labels.

    Args:
        bases: base images with inverted x_T; effects are measured on the first eight, quality
            on all.
        facts: what to record of the search beside the basis's own facts.
        on_vector, on_direction: progress, called after each effect and each quality measured.

    Raises:
        ValueError: no direction changes the image visibly.
    """
    found = visible_directions(model, space, basis, bases[:RANKING_BASES], on_vector)
    if not found:
        raise ValueError(
            "None of the directions found changes the image visibly, so nothing is written. "
            "Train the model longer, or use another finder."
        )
    directions = keep_names(found, model.directions)
    navigation = {"finder": basis.finder, **facts, **basis.facts}
    recorded = replace(model.facts, navigation=navigation)
    found_model = replace(model, directions=directions, facts=recorded)
    if draws_previews(model):
        found_model = even_directions(found_model, bases)
    return measure_directions(found_model, bases, on_direction)


def keep_names(found: Sequence[Direction], known: Sequence[Direction]) -> tuple[Direction, ...]:
    """`found` with the names and labels of the `known` directions that they repeat.

    A repeated one that points the other way is turned round, so that its labels stay true. A name
    that is then taken twice is numbered.
    """
    free = list(known)
    repeated: list[Direction | None] = []
    for direction in found:
        best = max(free, key=lambda old: abs(_cosine(direction, old)), default=None)
        if best is None or abs(_cosine(direction, best)) < SAME:
            repeated.append(None)
            continue
        free.remove(best)
        repeated.append(best)
    taken = {old.name for old in repeated if old is not None}
    result: list[Direction] = []
    for direction, old in zip(found, repeated, strict=True):
        if old is not None:
            result.append(_as_known(direction, old))
            continue
        stem = direction.name.rstrip(" 0123456789") or direction.name
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem} {number}"
        taken.add(name)
        result.append(replace(direction, name=name))
    return tuple(result)


def _as_known(direction: Direction, old: Direction) -> Direction:
    if _cosine(direction, old) < 0:
        direction = direction.reversed()
    return replace(
        direction,
        name=old.name,
        negative_label=old.negative_label,
        positive_label=old.positive_label,
    )


def _cosine(first: Direction, second: Direction) -> float:
    return sum(a * b for a, b in zip(first.vector, second.vector, strict=True))
