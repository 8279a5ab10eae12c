"""Images whose factors of variation are known: drawn here, or read from well-known files."""

from .registry import FACTOR_NAMES, open_factor_data
from .space import FactorData, FactorSpace, sample_combinations, sample_factors

__all__ = [
    "FACTOR_NAMES",
    "FactorData",
    "FactorSpace",
    "open_factor_data",
    "sample_combinations",
    "sample_factors",
]
