"""Carries an edit that was drawn small to the pixels of a larger original: tensors only, no models.

`find_change` compares small images drawn before and after an edit: what moved, what changed its
colour, what appeared. `fill` draws what appeared from another small image. `apply_change` does it
all to the original, whatever its size.
"""

from .apply import Region, apply_change
from .change import Change, find_change, find_difference, find_replacement
from .fill import fill

__all__ = [
    "Change",
    "Region",
    "apply_change",
    "fill",
    "find_change",
    "find_difference",
    "find_replacement",
]
