"""Tells by an error that the machine, not the work, came to its end: memory."""

from __future__ import annotations

import sys


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the machine or of the GPU, ran out."""
    torch = sys.modules.get("torch")  # where it is not loaded, nothing of it was raised
    if isinstance(error, MemoryError) or torch and isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return "not enough memory" in text or "can't allocate memory" in text
