"""Paths as people type or paste them: the one place where `~` and quotes are understood.

Every command line and every text input of a node passes its paths through here before anything is
checked. The library itself takes paths as they are.
"""

from __future__ import annotations

import os
from pathlib import Path

QUOTES = "\"'"


def expand(text: str, folder: str = "") -> str:
    """The path that was meant, still as text: "./heads" stays unlike the name "heads".

    A `~` or `~user` at the start is the home folder; bash leaves it as it is in `--data=~/photos`.
    Quotes around a path, such as Windows puts there on "Copy as path", go where nothing has the
    quoted name, but the bare one is there or would lie in a folder that is. A lone double quote at
    the end, which is what Windows makes of "C:\\my photos\\", goes where the bare name is there.

    Args:
        folder: where a relative path begins; the current folder if empty.
    """
    is_quoted = len(text) > 2 and text[0] in QUOTES and text[0] == text[-1]
    bare = os.path.expanduser(text[1:-1] if is_quoted else text.removesuffix('"'))
    if bare not in ("", text) and not os.path.lexists(os.path.join(folder, text)):
        whole = os.path.join(folder, bare)
        holder = is_quoted and os.path.dirname(bare) and os.path.dirname(whole)
        if os.path.lexists(whole) or (holder and os.path.isdir(holder)):
            return bare
    return os.path.expanduser(text)


def typed_path(text: str) -> Path:
    """`expand` as a Path: the type of an argument that is always a path."""
    return Path(expand(text))
