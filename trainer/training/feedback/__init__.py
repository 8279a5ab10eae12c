"""How what the diffusion branch learns reaches the co-pilot (docs/method.md, section 4)."""

from .build import build_feedback
from .interface import Feedback, Signals, neutral
from .state import FeedbackState, signals
from .usage import UsageDraws, draw_usage, measure_losses, usage_of

__all__ = [
    "Feedback",
    "FeedbackState",
    "Signals",
    "UsageDraws",
    "build_feedback",
    "draw_usage",
    "measure_losses",
    "neutral",
    "signals",
    "usage_of",
]
