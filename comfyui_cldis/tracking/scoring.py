"""From measurements to the score: pure arithmetic, no images are drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from . import formulas
from .calibration import Step
from .effects import CHANNELS, GRID
from .meter import Pairs, Path
from .result import DirectionTrack, Evidence, Tracking
from .scales import channel_scales, channel_shares, scaled, scaled_features
from .separation import Effect, Separation, separate


class Observation(NamedTuple):
    """What was measured of a direction.

    Attributes:
        vector: (N,) of length 1.
        amounts: where the frames of the paths lie, in standard deviations.
        pairs: on the B bases; None when the direction is not active.
        paths: one for each of the first bases, at least one.
    """

    name: str
    vector: np.ndarray
    step: Step
    amounts: tuple[float, ...]
    pairs: Pairs | None
    paths: Sequence[Path]


def score(
    observations: Sequence[Observation],
    *,
    coverage: float | None,
    version: int,
    seed: int,
    settings: Mapping[str, Any],
    num_images: int,
) -> Tracking:
    """The score of directions whose effects are known.

    Args:
        coverage: A, or None when unknown.
        version: of the score, see `TrackingSettings`.
    """
    active = [at for at, item in enumerate(observations) if item.pairs is not None]
    silence = np.zeros((1, len(CHANNELS), GRID, GRID))
    cells = [item.pairs.cells for item in observations if item.pairs is not None]
    scales = channel_scales(
        np.concatenate([silence, *cells]) if not cells else np.concatenate(cells)
    )
    rows = [_row(item, scales) for item in observations]
    separated = None
    if len(active) > 1:
        separated = _separate([observations[at] for at in active], scales, version, seed)
        _compare(rows, active, separated)
    purity = separated.purity if separated else 0.0
    compactness = separated.compactness if separated else 0.0
    distinctness = formulas.distinctness(separated.cosines) if separated else 0.0
    separation = formulas.separation(purity, compactness, distinctness)
    return Tracking(
        cts=0.0 if separated is None else None if coverage is None else coverage * separation,
        separation=separation,
        purity=purity,
        compactness=compactness,
        distinctness=distinctness,
        coverage=coverage,
        consistency=_mean([rows[at].consistency for at in active]),
        persistence=_mean([rows[at].persistence for at in active]),
        monotonicity=_mean([rows[at].monotonicity for at in active]),
        directions=tuple(rows),
        settings=settings,
        num_images=num_images,
    )


def _separate(
    items: Sequence[Observation], scales: np.ndarray, version: int, seed: int
) -> Separation:
    pairs = [item.pairs for item in items if item.pairs is not None]
    effect = Effect(
        vectors=np.stack([item.vector for item in items]),
        widths=np.array([2 * item.step.amount for item in items]),
        cells=np.stack([scaled(pair.cells, scales) for pair in pairs]),
        signed=np.stack([scaled(pair.signed, scales) for pair in pairs]),
        features=scaled_features(np.stack([pair.features for pair in pairs])),
    )
    return separate(effect, version, seed)


def _row(item: Observation, scales: np.ndarray) -> DirectionTrack:
    """What a direction does by itself, with the evidence of its first base."""
    path = item.paths[0]
    pairs = item.pairs
    effects = scaled(path.from_first[-1:] if pairs is None else pairs.cells, scales)  # (B, F)
    row = DirectionTrack(
        name=item.name,
        is_active=pairs is not None,
        step=item.step.amount,
        change=item.step.change if pairs is None else float(pairs.change.mean()),
        evidence=Evidence(
            amounts=item.amounts,
            frames=path.images,
            motion=path.ends.motion[0],
            recoloured=path.ends.recoloured[0],
            found=path.ends.found[0],
            where=torch.from_numpy(effects.mean(0).reshape(len(CHANNELS), GRID, GRID).sum(0)),
        ),
    )
    if pairs is None:
        return row
    return replace(
        row,
        consistency=formulas.consistency(effects),
        persistence=float(pairs.tracked.mean()),
        monotonicity=_mean([_monotonicity(path, scales) for path in item.paths]),
        channels=channel_shares(effects.mean(0)),
    )


def _monotonicity(path: Path, scales: np.ndarray) -> float:
    """How well the effect grows with the way, from both ends: rank correlation, at least 0."""

    def growth(cells: np.ndarray) -> float:
        return formulas.rank_correlation(np.linalg.norm(scaled(cells, scales), axis=-1))

    return max(0.0, (growth(path.from_first) + growth(path.from_last[::-1])) / 2)


def _compare(rows: list[DirectionTrack], active: Sequence[int], separated: Separation) -> None:
    """Writes purity and the most similar other direction into the rows."""
    for order, at in enumerate(active):
        nearest = int(separated.cosines[order].argmax())
        rows[at] = replace(
            rows[at],
            purity=float(separated.row_purity[order]),
            nearest=rows[active[nearest]].name,
            similarity=float(separated.cosines[order, nearest]),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
