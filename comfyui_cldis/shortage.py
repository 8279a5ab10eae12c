"""Tells by an error what the machine, not the work, is short of: memory, disk, or a package."""

from __future__ import annotations

import errno
import sys

OF_MEMORY = (  # what PyTorch, CUDA and the system say in errors of no kind of their own
    "out of memory",
    "not enough memory",
    "allocate memory",
    "status_alloc_failed",
)
OUR_OWN = ("comfyui_cldis", "trainer")
NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the machine or of the GPU, ran out."""
    torch = sys.modules.get("torch")  # where it is not loaded, nothing of it was raised
    if isinstance(error, MemoryError) or torch and isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(each in text for each in OF_MEMORY)


def explain_missing(error: ModuleNotFoundError) -> tuple[str, str]:
    """The package, by the name that is imported, and the error's text if that has the remedy.

    Who knows what a package is for raises an error with the remedy from that of the import. No
    package ("") where a module of our own is not found, which is a fault.
    """
    cause = error.__cause__
    is_explained = isinstance(cause, ModuleNotFoundError)
    name = (cause.name if is_explained else error.name) or ""
    package = name.partition(".")[0]
    if package in OUR_OWN:
        package = ""
    return package, str(error) if is_explained else ""


def full_disk(error: BaseException) -> str | None:
    """A sentence for a write that found no room; None for other errors, and for our own."""
    if not isinstance(error, OSError) or error.errno not in NO_ROOM:
        return None
    name = f" while {error.filename} was written" if error.filename else ""
    return (
        f"There was no room on the disk{name} ({error.strerror}); what had been saved is "
        "kept. Free space, or write to another disk, and run the same command again."
    )
