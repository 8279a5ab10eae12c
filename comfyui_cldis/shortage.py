"""Tells by an error that the machine, not the work, came to its end: memory, or the disk."""

from __future__ import annotations

import errno
import sys

OF_MEMORY = (  # what PyTorch, CUDA and the system say in errors of no kind of their own
    "out of memory",
    "not enough memory",
    "allocate memory",
    "status_alloc_failed",
)
NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the machine or of the GPU, ran out."""
    torch = sys.modules.get("torch")  # where it is not loaded, nothing of it was raised
    if isinstance(error, MemoryError) or torch and isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(each in text for each in OF_MEMORY)


def full_disk(error: BaseException) -> str | None:
    """A sentence for a write that found no room; None for other errors, and for our own."""
    if not isinstance(error, OSError) or error.errno not in NO_ROOM:
        return None
    name = f" while {error.filename} was written" if error.filename else ""
    return (
        f"There was no room on the disk{name} ({error.strerror}); what had been saved is "
        "kept. Free space, or write to another disk, and run the same command again."
    )
