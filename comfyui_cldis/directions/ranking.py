"""Unit vectors of the code as directions: what each measurably changes, its range and its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..diffusion.samplers import MEASURING_SAMPLER
from ..editing.code_path import CodePath
from ..editing.direction import Direction
from ..editing.editable import EditableModel
from ..editing.latent import Latent
from ..editing.pipeline import decode
from .naming import describe_change

VISIBLE_EFFECT = 4 / 255  # mean absolute change in [0, 2] image units: two grey levels of 255
SHORTEST_RANGE, LONGEST_RANGE = 0.5, 4.0


class Effect(NamedTuple):
    """What moving along one vector does on some base images.

    Attributes:
        index: which vector.
        effect: mean absolute difference between the images at -1 and +1 sd, in [0, 2].
        low, high: images (B, C, S, S) at -1 and +1 standard deviation.
    """

    index: int
    effect: float
    low: Tensor
    high: Tensor


def measure_vectors(
    model: EditableModel,
    latent: Latent,
    vectors: Tensor,
    *,
    paths: Sequence[CodePath | None] = (),
    num_steps: int = 10,
) -> Iterator[Effect]:
    """Move along every vector, or its path, from -1 to +1 sd and compare the images; in turn.

    Args:
        latent: base images; their inverted x_T is kept, as in an edit.
        vectors: (K, N), in standard deviations of each code dimension.
        paths: K, None for a vector that is all there is to its direction; () when all are.
        num_steps: DDIM steps per decode.
    """
    batch, std = len(latent), model.statistics.std
    for index, vector in enumerate(vectors):
        path = paths[index] if paths else None
        ends = [
            amount * vector if path is None else torch.tensor(path.displacement(amount)).to(vector)
            for amount in (-1.0, 1.0)
        ]
        pair = latent.repeat(2).with_z(
            torch.stack([latent.z + end * std for end in ends], dim=1).flatten(0, 1)
        )
        images = decode(model, pair, sampler=MEASURING_SAMPLER, num_steps=num_steps)
        low, high = images.view(batch, 2, *images.shape[1:]).unbind(1)
        yield Effect(index, float((high - low).abs().mean()), low, high)


def rank_vectors(
    model: EditableModel,
    latent: Latent,
    vectors: Tensor,
    ranges: Tensor,
    *,
    paths: Sequence[CodePath | None] = (),
    num_steps: int = 10,
    smallest_effect: float = VISIBLE_EFFECT,
    on_vector: Callable[[int], object] | None = None,
) -> tuple[Direction, ...]:
    """The vectors with a visible effect as directions, strongest first. Names are provisional.

    Args:
        model: its `directions` are ignored.
        latent: base images with inverted x_T, at least one.
        vectors: (K, N) of unit length, in standard deviations of each code dimension.
        ranges: (K, 2), least and greatest amount that is safe, in standard deviations; kept, but
            at least 0.5 and at most 4 to either side.
        paths: K, the paths of those directions that are bent; () when none is.
        smallest_effect: vectors below are dropped as dead.
        on_vector: progress, called with the index of each vector measured.

    Returns:
        Empty when no vector has a visible effect.
    """
    found: list[Effect] = []
    for measured in measure_vectors(model, latent, vectors, paths=paths, num_steps=num_steps):
        if measured.effect >= smallest_effect:
            found.append(measured)
        if on_vector is not None:
            on_vector(measured.index)
    found.sort(key=lambda item: -item.effect)
    directions: list[Direction] = []
    taken: dict[str, int] = {}
    for item in found:
        words = describe_change(item.low, item.high)
        taken[words.name] = taken.get(words.name, 0) + 1
        count = taken[words.name]
        low, high = ranges[item.index].tolist()
        directions.append(
            Direction(
                name=words.name if count == 1 else f"{words.name} {count}",
                vector=tuple(vectors[item.index].tolist()),
                minimum=round(max(-LONGEST_RANGE, min(-SHORTEST_RANGE, low)), 2),
                maximum=round(min(LONGEST_RANGE, max(SHORTEST_RANGE, high)), 2),
                negative_label=words.negative,
                positive_label=words.positive,
                effect=round(item.effect, 5),
                path=paths[item.index] if paths else None,
            )
        )
    return tuple(directions)
