"""The sha256 of a file, read in blocks."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK_BYTES = 2**24


def sha256_of(path: Path) -> str:
    """In hexadecimal.

    Raises: OSError when the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
