"""What a model file is, by its first bytes alone, and how safetensors is given its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .header import HEADER_LIMIT, CheckpointError


def check_container(path: Path) -> None:
    """Raises CheckpointError or FileNotFoundError, with a remedy, for what safetensors refuses."""
    name = path.name
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder. Name a model file (.safetensors) in it.")
    if not path.exists():
        raise FileNotFoundError(
            f"There is no model file {path}. Check the name, or train a model with `cldis train`."
        )
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{name} is empty. Download or export the file again.")
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith((b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise CheckpointError(
            f"{name} is a pickled PyTorch checkpoint, which can run code when it is opened. "
            "Use the .safetensors file that `cldis train` writes instead."
        )
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{":
        raise CheckpointError(
            f"{name} is not a safetensors file. Choose a file that `cldis train` wrote."
        )
    if length > HEADER_LIMIT:
        raise _large_header(name, length)
    if size < 8 + length:
        raise CheckpointError(
            f"{name} is cut off: it has {size} bytes, and its header alone needs {8 + length}. "
            "Download or export the file again."
        )


def check_header_size(path: Path, name: str) -> None:
    """Raises a CheckpointError naming `name` for a header over the limit."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > HEADER_LIMIT:
        raise _large_header(name, length)


def _large_header(name: str, length: int) -> CheckpointError:
    return CheckpointError(
        f"The header of {name} has {length} bytes, more than the {HEADER_LIMIT} allowed. "
        "Shorten the model's facts or remove directions."
    )


@contextmanager
def utf8_name(path: Path) -> Iterator[str]:
    """A name under which safetensors opens the file; it refuses names that are not UTF-8.

    Only Linux and its like have such names, and there an open file has another one.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield str(path)
