"""Pseudo-factors: the turn of the directions under which the effects overlap least.

Near one base image the effect of a step is about linear in the step: the sum of what each true
factor would do. Nobody knows the factors, but factors of an image mostly act in few places and in
few ways (here moves, there changes colour), while a mix of factors acts wherever any of them does.
So the rotation that makes the effects sparsest gives back the factors, up to order and sign, and
it is the same rotation whatever mix of them the directions under test are.
"""

from __future__ import annotations

import numpy as np

STARTS, SWEEPS = 3, 12
# Angles that a plane is turned by in search of a sparser pair: the whole quarter turn, after which
# everything repeats, then a fifth of the way to the neighbours of the best.
COARSE = np.linspace(-np.pi / 4, np.pi / 4, 15, endpoint=False)
FINE = np.linspace(-1, 1, 11) * (np.pi / 2 / 15)
SETTLED = 0.01  # radians
# A pseudo-factor that changes less than this share of the mean direction does is none: two
# directions that do the same have one factor between them.
LEAST_ENERGY = 0.01


def sparsest_rotation(rows: np.ndarray, seed: int) -> np.ndarray:
    """The rotation Q (K, K) for which the sum of |Q @ rows| is least; rows (K, F).

    Turns one plane after the other to its best angle until none turns any more; the best of STARTS
    is kept, the first of which is no rotation.

    Source: the sum of absolute values as the measure of a simple structure is Jennrich 2004
    (Psychometrika 69); plane rotations are those of Jacobi. The fourth powers of quartimax, which a
    few large values rule, found the parts of the test scenes less well.
    """
    count = len(rows)
    rng = np.random.default_rng(seed)
    best, least = np.eye(count), np.inf
    for start in range(STARTS if count > 1 else 1):
        q = np.linalg.qr(rng.standard_normal((count, count)))[0] if start else np.eye(count)
        turned = q @ rows
        for _ in range(SWEEPS):
            largest = 0.0
            for i in range(count):
                for j in range(i):
                    angle = _best_angle(turned[i], turned[j])
                    if angle:
                        plane = _plane(angle)
                        turned[[i, j]], q[[i, j]] = plane @ turned[[i, j]], plane @ q[[i, j]]
                        largest = max(largest, abs(angle))
            if largest < SETTLED:
                break
        total = float(np.abs(turned).sum())
        if total < least * (1 - 1e-9):
            best, least = q, total
    return best


def _best_angle(first: np.ndarray, second: np.ndarray) -> float:
    """Angle in (-pi/4, pi/4] that makes two rows (F,) sparsest; 0 where no other is better."""

    def sizes(angles: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        return (np.abs(cos * first + sin * second) + np.abs(cos * second - sin * first)).sum(axis=1)

    coarse = COARSE[sizes(COARSE).argmin()]
    angles = np.append(coarse + FINE, 0.0)
    found = sizes(angles)
    best = int(found.argmin())
    return float(angles[best]) if found[best] < found[-1] * (1 - 1e-9) else 0.0


def _plane(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def shares_of_factors(vectors: np.ndarray, effects: np.ndarray, seed: int) -> np.ndarray:
    """How much of each pseudo-factor of one base image there is in each direction.

    Args:
        vectors: directions (n, N) of length 1.
        effects: their effects (n, F) for one standard deviation each.

    Returns:
        Components (n, K) of the directions along the K <= n pseudo-factors, in the order of what
        they change. For independent directions K = n; with orthogonal ones their squares add up to
        1 in each row and column.
    """
    # One standard deviation along each code: exact for orthogonal directions, least squares else.
    per_code = np.linalg.lstsq(vectors, effects, rcond=1e-6)[0]  # (N, F)
    left, energy, _ = np.linalg.svd(per_code, full_matrices=False)
    energy = energy**2
    alive = energy > LEAST_ENERGY * energy.sum() / len(vectors)
    span = left[:, alive]  # (N, K)
    if not alive.any():
        return np.zeros((len(vectors), 0))
    rows = span.T @ per_code
    rotation = sparsest_rotation(rows, seed)
    order = np.argsort(-np.square(rotation @ rows).sum(axis=1), kind="stable")
    return vectors @ span @ rotation[order].T


def effects_of_factors(
    vectors: np.ndarray, components: np.ndarray, effects: np.ndarray
) -> np.ndarray:
    """What one standard deviation of each pseudo-factor does.

    Args:
        vectors: directions (n, N) of length 1.
        components: (n, K), from `shares_of_factors`.
        effects: effects (n, F) of any kind of the directions, for one standard deviation each.

    Returns:
        (K, F).
    """
    factors = np.linalg.lstsq(vectors, components, rcond=1e-6)[0].T  # (K, N)
    return factors @ np.linalg.lstsq(vectors, effects, rcond=1e-6)[0]
