"""The words of messages: numbers with nouns, odd names, and what a mistyped one may mean."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

LEAST_PREFIX = 3  # letters; the beginning of a name is as good as the whole


def counted(number: int, noun: str, plural: str = "") -> str:
    """Such as "1 image", "2,000 images"; `plural` where it is not `noun` with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def nearest(text: str, names: Sequence[str]) -> str | None:
    """The name, or else the path that exists, that is spelt nearly like `text`; None without one.

    Of a path, the first part that does not exist is taken to be mistyped. Looks into one folder
    only: the last one of the path that exists.
    """
    known = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(text.lower(), known, n=1)
    if not near and len(text) >= LEAST_PREFIX:
        near = [name for name in known if name.startswith(text.lower())]
    if near:
        return known[near[0]]
    path = missing = Path(text)
    while not missing.parent.exists():
        missing = missing.parent
    try:
        beside = sorted(entry.name for entry in missing.parent.iterdir())
    except OSError:  # a file in place of a folder, or one that may not be read
        return None
    by_small = {name.lower(): name for name in reversed(beside)}
    near = difflib.get_close_matches(missing.name.lower(), by_small, n=1, cutoff=0.75)
    if not near:
        return None
    found = missing.parent / by_small[near[0]]
    whole = found / path.relative_to(missing)
    return str(whole if whole.exists() else found)


def hint(text: str, names: Sequence[str] = ()) -> str:
    """Such as " Did you mean 'heads'?", to follow a sentence about what is missing, or ""."""
    near = nearest(text, names)
    return f" Did you mean {near!r}?" if near else ""


def printable(name: str) -> str:
    r"""Escapes what a file name may hold but a terminal, an image or a JSON file may not.

    Python reads a byte of a name that is not UTF-8 as a lone surrogate, which UTF-8 cannot write:
    a folder M\xfcnchen, named on an old system, becomes the text "M\udcfcnchen" with a backslash.
    """
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in name
    )
