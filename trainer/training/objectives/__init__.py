"""Objectives of the co-pilot: how its code is drawn and what it pays besides the bottleneck."""

from ...config.objective import ObjectiveConfig
from .build import build_objective, smallest_batch
from .interface import CopilotCode, Objective, ObjectiveDraws

__all__ = [
    "CopilotCode",
    "Objective",
    "ObjectiveConfig",
    "ObjectiveDraws",
    "build_objective",
    "smallest_batch",
]
