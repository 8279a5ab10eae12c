"""Joins latents of parts of a batch, and moves latents as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..editing.latent import Latent


def join(parts: Sequence[Latent]) -> Latent:
    """The items of all parts in order; parts of one batch have the same fields."""
    if len(parts) == 1:
        return parts[0]
    return Latent(
        z=torch.cat([part.z for part in parts]),
        x_T=_cat([part.x_T for part in parts]),
        residual=_cat([part.residual for part in parts]),
        origins=tuple(origin for part in parts for origin in part.origins),
    )


def map_tensors(latent: Latent, function: Callable[[Tensor], Tensor]) -> Latent:
    """Applies `function` to every tensor of the latent and returns a new one."""
    return replace(
        latent,
        z=function(latent.z),
        x_T=None if latent.x_T is None else function(latent.x_T),
        residual=None if latent.residual is None else function(latent.residual),
    )


def _cat(tensors: Sequence[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(present) if present else None
