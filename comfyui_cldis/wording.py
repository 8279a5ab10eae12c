"""The words of messages: numbers with nouns, odd names, what a mistyped one may mean, commands."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from unicodedata import category

LEAST_PREFIX = 3  # letters; the beginning of a name is as good as the whole


def counted(number: int, noun: str, plural: str = "") -> str:
    """Such as "1 image", "2,000 images"; `plural` where it is not `noun` with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def nearest_name(text: str, names: Sequence[str]) -> str | None:
    """The name that is spelt nearly like `text`, or begins with it; None without one."""
    near = _alike(text, names)
    if near is not None or len(text) < LEAST_PREFIX:
        return near
    return next((name for name in names if name.lower().startswith(text.lower())), None)


def nearest(text: str, names: Sequence[str]) -> str | None:
    """The name, or else the path that exists, that is spelt nearly like `text`; None without one.

    Of a path, the first part that does not exist is taken to be mistyped. Looks into one folder
    only: the last one of the path that exists.
    """
    near = nearest_name(text, names)
    if near is not None:
        return near
    path = missing = Path(text)
    while not missing.parent.exists():
        missing = missing.parent
    try:
        beside = sorted(entry.name for entry in missing.parent.iterdir())
    except OSError:  # a file in place of a folder, or one that may not be read
        return None
    near = _alike(missing.name, beside, cutoff=0.75)
    if near is None:
        return None
    found = missing.parent / near
    whole = found / path.relative_to(missing)
    return str(whole if whole.exists() else found)


def hint(text: str, names: Sequence[str] = ()) -> str:
    """Such as " Did you mean 'heads'?", to follow a sentence about what is missing, or ""."""
    return did_you_mean(nearest(text, names))


def did_you_mean(near: str | None) -> str:
    """Such as " Did you mean 'heads'?", or "" for None."""
    return "" if near is None else f" Did you mean {near!r}?"


def suggest(text: str, names: Sequence[str]) -> str:
    """What to use in place of a wrong `text`, to follow a sentence: the name it may mean, or all.

    Such as " Did you mean 'heads'?" or " Use one of heads, hands."
    """
    return did_you_mean(nearest_name(text, names)) or f" Use one of {', '.join(names)}."


def _alike(text: str, names: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The name most like `text`, small letters and capitals alike."""
    by_small = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(text.lower(), by_small, n=1, cutoff=cutoff)
    return by_small[near[0]] if near else None


def printable(text: str) -> str:
    r"""Escapes what a file name or a text of strangers may hold but a terminal, an image or a JSON
    file may not: newlines and other control characters, and marks that nothing shows.

    Python reads a byte of a name that is not UTF-8 as a lone surrogate, which UTF-8 cannot write:
    a folder M\xfcnchen, named on an old system, becomes the text "M\udcfcnchen" with a backslash.
    """
    return "".join(
        character if _is_shown(character) else repr(character)[1:-1] for character in text
    )


def command_line(*words: object) -> str:
    """A command to be copied into a terminal of this system, words with blanks quoted."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if sys.platform != "win32":
        return shlex.quote(word)
    # Only where needed: PowerShell takes a quoted program for a text.
    return word if re.fullmatch(r"[\w:\\/.~-]+", word) else f'"{word}"'


def _is_shown(character: str) -> bool:
    """Whether a character is printable, a space of any width, or joins letters of some scripts."""
    return character.isprintable() or category(character) == "Zs" or character in "\u200c\u200d"


def has_control(text: str) -> bool:
    """Whether it holds characters that move a cursor or end a line, or that are no characters."""
    return any(category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
