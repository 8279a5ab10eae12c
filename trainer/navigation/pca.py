"""Directions from how codes are spread: principal components, turned by varimax or by ICA.

Sources: Härkönen et al. 2020 (GANSpace, arXiv:2004.02546) for principal components of codes;
Kaiser 1958 for varimax; Hyvärinen 1999 (FastICA, symmetric, tanh) for independent components.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .basis import spectrum, top_eigenvectors

LEAST_VARIANCE = 0.02  # of the largest; below it dimensions only repeat each other
LEAST_RANK = 1e-6  # of the largest; below it the components cannot be scaled to variance 1
ROUNDS = 500
TOLERANCE = 1e-9


def num_distinct(codes: Tensor, least: float = LEAST_VARIANCE) -> int:
    """How many dimensions the codes (n, M) fill: principal components with at least the share
    `least` of the largest one's variance.

    Two dimensions that always move together fill one; the other would be turned into the rest.
    """
    values = torch.linalg.eigvalsh(_covariance(codes))
    if values.max() <= 0:  # all codes are the same
        return 0
    return int((values >= least * values.max()).sum())


def principal(codes: Tensor, count: int) -> tuple[Tensor, dict[str, Any]]:
    """Rows (count, M): eigenvectors of the codes' (n, M) covariance, largest variance first.

    Codes with one variance along every axis and no correlation have no principal axes: then the
    figure `smallest_gap` is near 0 and the directions mean nothing.
    """
    values, vectors = top_eigenvectors(_covariance(codes), count)
    return vectors, spectrum(values)


def varimax(codes: Tensor, count: int) -> tuple[Tensor, dict[str, Any]]:
    """The principal components, turned within their span until their loadings are sparse.

    With as many components as dimensions the span is the whole space and the answer its axes.
    """
    rows, facts = principal(codes, count)
    return varimax_rotation(rows.T).T @ rows, facts


def independent(codes: Tensor, count: int) -> tuple[Tensor, dict[str, Any]]:
    """The principal components, turned until their amounts are independent of each other.

    The rows (count, M) are the mixing vectors, of unit length: how the code moves when one
    component changes and the others stay. They are at right angles only where the code is white;
    `smallest_angle_degrees` is the least angle between two of them. The search starts at the
    varimax answer, so that a Gaussian code is not turned by chance.
    """
    white = whiten(codes, count)
    unmixing, rounds = fast_ica(white.codes, white.start)
    mixing = unmixing @ white.mixing
    mixing = mixing / mixing.norm(dim=1, keepdim=True)
    return mixing, white.facts | {
        "rounds": rounds,
        "smallest_angle_degrees": round(smallest_angle(mixing), 2),
    }


class White(NamedTuple):
    """Codes along their first K principal components, each of variance 1.

    Attributes:
        codes: (n, K), of mean 0.
        mixing: (K, M), what one unit of each adds to the code.
        start: rotation (K, K) of the varimax answer; with K = M, `start @ mixing` are the steps
            of white codes that are nearest to the axes.
        facts: as of `principal`.
    """

    codes: Tensor
    mixing: Tensor
    start: Tensor
    facts: dict[str, Any]


def whiten(codes: Tensor, count: int) -> White:
    """Codes (n, M) without correlation, in `count` = K dimensions, and the way back."""
    rows, facts = principal(codes, count)
    centred = codes.double() - codes.double().mean(0)
    scale = (centred @ rows.T).std(0)
    return White(centred @ rows.T / scale, scale[:, None] * rows, varimax_rotation(rows.T).T, facts)


def smallest_angle(rows: Tensor) -> float:
    """Least angle in degrees, up to 90, between two of the unit rows (K, M); 90 for one row."""
    cosines = (rows @ rows.T).abs().fill_diagonal_(0)
    return float(cosines.max().clamp(max=1).acos().rad2deg())


def varimax_rotation(loadings: Tensor) -> Tensor:
    """Rotation (K, K) for which loadings (M, K) @ rotation has the largest variance of squares.

    The loadings have orthonormal columns, so the sum of fourth powers is the varimax criterion but
    for a constant. It is convex, which makes every round of this fixed point an ascent.
    """
    rotation = torch.eye(loadings.shape[1], dtype=loadings.dtype)
    for _ in range(ROUNDS):
        after = polar(loadings.T @ (loadings @ rotation) ** 3)
        moved = float((after - rotation).abs().max())
        rotation = after
        if moved < TOLERANCE:
            break
    return rotation


def fast_ica(white: Tensor, start: Tensor) -> tuple[Tensor, int]:
    """scikit-learn's symmetric FastICA with tanh, on white samples (n, K), float64 on the CPU.

    It begins at an orthogonal `start` (K, K), so nothing is drawn and equal arguments give equal
    rows. It warns when it has not settled within `ROUNDS`.

    Returns:
        Unmixing rows (K, K), orthogonal, and the number of rounds.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    from sklearn.decomposition import FastICA  # slow to import

    search = FastICA(
        whiten=False,  # type: ignore[arg-type]
        fun="logcosh",
        w_init=start.numpy(),
        max_iter=ROUNDS,
        tol=TOLERANCE,
    )
    search.fit(white.numpy())
    return torch.from_numpy(search.components_), search.n_iter_


def _covariance(codes: Tensor) -> Tensor:
    """(M, M) float64 of codes (n, M); torch's own has no rows and columns where M is 1."""
    return torch.cov(codes.double().T).view(codes.shape[1], codes.shape[1])


def polar(matrix: Tensor) -> Tensor:
    """The matrix with orthonormal rows that is nearest to `matrix` (K, M), K at most M."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right
