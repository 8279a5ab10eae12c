"""Procedural portraits with eleven known, independent factors (needs numba)."""

from .factors import FACTORS, Factor, sample_factors
from .generator import GENERATOR_VERSION, render_dataset, render_heads

__all__ = [
    "FACTORS",
    "GENERATOR_VERSION",
    "Factor",
    "render_dataset",
    "render_heads",
    "sample_factors",
]
