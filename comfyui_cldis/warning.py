"""The warnings of the library: work that was done, but not quite as asked."""

from __future__ import annotations


class CldisWarning(UserWarning):
    """Its text is a sentence or two for the person who asked; the commands show it as a note."""


class AmountWarning(CldisWarning):
    """An amount was beyond what a direction can be moved by, and the nearest one was applied."""


class GlyphWarning(CldisWarning):
    """No installed font has some characters of a label, which are drawn as boxes."""


class UnfamiliarImageWarning(CldisWarning):
    """An image seems unlike those that a model was trained on; its edits may not look right."""
