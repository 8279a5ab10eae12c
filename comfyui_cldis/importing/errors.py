"""What goes wrong with files of other projects."""

from __future__ import annotations

from ..wording import printable

LONGEST_REASON = 300  # characters


class ForeignFileError(ValueError):
    """A file that cannot be imported: one sentence of fact and one of remedy."""


def refused(file: str, name: str) -> ForeignFileError:
    """For a pickle that names `name`, a class or function that no checkpoint needs."""
    return ForeignFileError(
        f"{file} asks for '{printable(name[:200])}' to be called while it is read, which no "
        "Diff-AE checkpoint needs; nothing of it was run. Do not use this file, and download it "
        "anew from its authors."
    )


def unreadable(file: str, reason: object) -> ForeignFileError:
    """For a file that ends early, or whose parts contradict each other."""
    text = printable(str(reason).rstrip(".")[:LONGEST_REASON]) or "it ends early"
    return ForeignFileError(f"{file} is damaged or incomplete: {text}. Download it again.")
