"""Statistics of the code: from a latent.pkl, from the checkpoint itself, or assumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..editing.editable import ASSUMED, STATISTICS, EditableModel, LatentStatistics
from ..editing.facts import IMPORTED
from .errors import ForeignFileError
from .stored import StoredTensor, as_mapping
from .torch_file import TorchFile

TAIL = 2.5758293  # standard deviations from the mean to the 0.5 and 99.5 % quantiles of a normal
MEASURED, DESCRIBED = "measured", "mean and deviation"
"""How statistics are known where they are not ASSUMED: from codes, or from two rows of numbers."""


def read_statistics(
    state: Mapping[str, Any], file: TorchFile, latent: Path | None, latent_dim: int
) -> tuple[LatentStatistics, str]:
    """The statistics, and one of ASSUMED, MEASURED and DESCRIBED.

    Without any, mean 0 and standard deviation 1: amounts then count in units of the code itself.

    Raises:
        ForeignFileError: codes of another width, or that never differ.
        FileNotFoundError: there is no such `latent`.
    """
    if latent is not None:
        with TorchFile(latent) as codes:
            return _of_codes(as_mapping(codes.root), codes, latent_dim)
    found = _described(state, file, latent_dim)
    if found is not None:
        return found, DESCRIBED
    ones = torch.ones(latent_dim)
    return _normal(torch.zeros(latent_dim), ones), ASSUMED


def with_measured(model: EditableModel, codes: Tensor) -> EditableModel:
    """The model with the statistics of codes (n, N) of images, in units of the code itself.

    A scalar that never differs keeps a deviation of 1, so that amounts stay finite.
    """
    found = LatentStatistics.from_codes(codes.cpu())
    std = torch.where(found.std > 0, found.std, torch.ones_like(found.std))
    imported = {**model.facts.other[IMPORTED], STATISTICS: MEASURED}
    facts = replace(model.facts, other={**model.facts.other, IMPORTED: imported})
    return replace(model, statistics=replace(found, std=std), facts=facts)


def _of_codes(
    values: Mapping[str, Any], file: TorchFile, latent_dim: int
) -> tuple[LatentStatistics, str]:
    stored = values.get("conds")
    if isinstance(stored, StoredTensor):
        if len(stored.shape) != 2 or stored.shape[1] != latent_dim or stored.shape[0] < 2:
            raise _unlike(file.name, "conds", stored.shape, latent_dim)
        codes = file.read(stored).float()
        return _checked(file.name, LatentStatistics.from_codes, codes), MEASURED
    found = _described(values, file, latent_dim)
    if found is None:
        raise ForeignFileError(
            f"{file.name} holds no codes ('conds', or 'conds_mean' and 'conds_std'). Choose the "
            "latent.pkl that belongs to the checkpoint."
        )
    return found, DESCRIBED


def _described(
    values: Mapping[str, Any], file: TorchFile, latent_dim: int
) -> LatentStatistics | None:
    """From the mean and the standard deviation of codes, if both are there."""
    rows: dict[str, Tensor] = {}
    for name in ("conds_mean", "conds_std"):
        stored = values.get(name)
        if not isinstance(stored, StoredTensor):
            return None
        if stored.shape not in ((latent_dim,), (1, latent_dim)):
            raise _unlike(file.name, name, stored.shape, latent_dim)
        rows[name] = file.read(stored).float().flatten()
    return _checked(file.name, _normal, rows["conds_mean"], rows["conds_std"])


def _normal(mean: Tensor, std: Tensor) -> LatentStatistics:
    """With the quantiles of a normal distribution."""
    return LatentStatistics(mean, std, mean - TAIL * std, mean + TAIL * std)


def _checked(
    name: str, measure: Callable[..., LatentStatistics], *values: Tensor
) -> LatentStatistics:
    """`measure(*values)`, finite and with deviations above 0. Raises: ForeignFileError."""
    with suppress(ValueError):
        found = measure(*values)
        if bool(torch.isfinite(found.mean).all()) and bool((found.std > 0).all()):
            return found
    raise ForeignFileError(
        f"The codes of {name} are not finite, are spread too far, or some scalar never differs. "
        "Choose the latent.pkl that belongs to the checkpoint."
    )


def _unlike(file: str, name: str, shape: tuple[int, ...], latent_dim: int) -> ForeignFileError:
    return ForeignFileError(
        f"'{name}' of {file} has shape {shape}, and the code of this model has {latent_dim} "
        "scalars. Choose the latent.pkl that belongs to the checkpoint."
    )
