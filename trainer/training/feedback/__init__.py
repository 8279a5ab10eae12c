"""How what the diffusion branch learns reaches the co-pilot (docs/method.md, section 4)."""

from .build import build_feedback
from .interface import Feedback, Signals, neutral
from .meter import UsageMeter, usage_passes
from .state import FeedbackState, signals

__all__ = [
    "Feedback",
    "FeedbackState",
    "Signals",
    "UsageMeter",
    "build_feedback",
    "neutral",
    "signals",
    "usage_passes",
]
