"""Content tracking: a score of disentanglement that needs no labels.

The method is this project's own reading of the words "content tracking"; docs/tracking.md gives the
definition, what is known of it, and what is not.
"""

from .generator import Generator, RendererGenerator
from .result import DirectionTrack, Tracking
from .settings import FAST, TrackingSettings
from .table import tracking_table
from .track import STAGES, check_seed, measure, track, track_renderer
from .vectors import axis_vectors, rotated_vectors

__all__ = [
    "FAST",
    "STAGES",
    "DirectionTrack",
    "Generator",
    "RendererGenerator",
    "Tracking",
    "TrackingSettings",
    "axis_vectors",
    "check_seed",
    "measure",
    "rotated_vectors",
    "track",
    "track_renderer",
    "tracking_table",
]
