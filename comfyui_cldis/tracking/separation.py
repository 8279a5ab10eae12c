"""How the directions are kept apart: purity, compactness, and how alike their effects are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import formulas
from .matching import mean_shares
from .pseudo_factors import effects_of_factors, shares_of_factors

# A feature counts as much as this many cells of a channel. Cells alone did not find the factors of
# sprites; features alone do not tell the colours of two things apart.
FEATURE_WEIGHT = 5.0


class Effect(NamedTuple):
    """The scaled effects of n >= 2 active directions on B bases, between -step and +step.

    Attributes:
        vectors: the directions (n, N), of length 1.
        widths: (n,), from -step to +step, in standard deviations.
        cells: (n, B, F), not negative, by place.
        signed: (n, B, F'), the same with signs.
        features: (n, B, F''), wherever the content lies.
    """

    vectors: np.ndarray
    widths: np.ndarray
    cells: np.ndarray
    signed: np.ndarray
    features: np.ndarray


class Separation(NamedTuple):
    """P, Q, the purities (n,) and the cosines (n, n) of n directions."""

    purity: float
    compactness: float
    row_purity: np.ndarray
    cosines: np.ndarray


def separate(effect: Effect, version: int, seed: int) -> Separation:
    """P and Q by the given version of the score; cosines between effects over all bases."""
    found = _on_each_base(effect, seed) if version == 1 else _on_all_bases(effect, seed)
    return Separation(*found, cosines=formulas.similarities(effect.cells))


def _on_each_base(effect: Effect, seed: int) -> tuple[float, float, np.ndarray]:
    """Version 1: each base by itself, then the means; a direction may mean another thing there."""
    found = [
        formulas.importance(
            shares_of_factors(effect.vectors, signed / effect.widths[:, None], seed)
        )
        for signed in effect.signed.swapaxes(0, 1)
    ]
    return (
        float(np.mean([one.purity for one in found])),
        float(np.mean([one.compactness for one in found])),
        np.mean([one.row_purity for one in found], axis=0),
    )


def _on_all_bases(effect: Effect, seed: int) -> tuple[float, float, np.ndarray]:
    """Version 2: the mean over bases of the shares in pseudo-factors that are matched across them.

    A direction is pure when it moves one pseudo-factor, the same on every base.
    """
    descriptions, shares = [], []
    for signed, features in zip(
        effect.signed.swapaxes(0, 1), effect.features.swapaxes(0, 1), strict=True
    ):
        signed, features = signed / effect.widths[:, None], features / effect.widths[:, None]
        rows = np.concatenate([signed, FEATURE_WEIGHT * features], axis=1)
        components = shares_of_factors(effect.vectors, rows, seed)
        descriptions.append(effects_of_factors(effect.vectors, components, features))
        shares.append(formulas.importance(components).matrix)
    found = formulas.importance_of_shares(mean_shares(descriptions, shares))
    return found.purity, found.compactness, found.row_purity
