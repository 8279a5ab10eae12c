"""What differs between the tensors that are expected and those that were found, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..wording import printable

MAX_LISTED = 8
LONGEST = 80  # characters of what a file says, in a message

Shape = tuple[int, ...]


def differences(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> str:
    """Every name and shape that differs, as part of a sentence; "" when none does."""
    unlike = [
        f"{key} has {shown(str(found[key]))}, expected {expected[key]}"
        for key in sorted(expected.keys() & found.keys())
        if found[key] != expected[key]
    ]
    kinds = (
        ("missing", sorted(expected.keys() - found.keys())),
        ("unexpected", [shown(key) for key in sorted(found.keys() - expected.keys())]),
        ("of another shape", unlike),
    )
    return "; ".join(f"{len(items)} {what}: {listed(items)}" for what, items in kinds if items)


def listed(items: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    items = list(items)
    more = len(items) - MAX_LISTED
    return ", ".join(items[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def shown(text: str) -> str:
    """A text of a file for a message: cut, and safe for a terminal."""
    return printable(text[:LONGEST])
