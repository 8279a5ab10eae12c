"""Text that any file, console or image can hold."""

from __future__ import annotations


def printable(name: str) -> str:
    r"""Escapes what a file name may hold but a terminal, an image or a JSON file may not.

    Python reads a byte of a name that is not UTF-8 as a lone surrogate, which UTF-8 cannot write:
    a folder M\xfcnchen, named on an old system, becomes the text "M\udcfcnchen" with a backslash.
    """
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in name
    )
