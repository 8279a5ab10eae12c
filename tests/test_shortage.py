"""Errors that say that the machine came to its end, and errors that say something else."""

from __future__ import annotations

import errno

import pytest
import torch

from comfyui_cldis.shortage import full_disk, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried 9 bytes"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("unable to mmap 8 bytes from file <a>: Cannot allocate memory (12)"), True),
        (RuntimeError("mat1 and mat2"), False),
        (ValueError("the image asks for more; out of memory"), False),
    ],
)
def test_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_full_disk() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "a.png")
    text = full_disk(error) or ""
    assert "no room on the disk while a.png was written (No space left on device)" in text
    assert "while" not in (full_disk(OSError(errno.ENOSPC, "No space left on device")) or "while")
    assert full_disk(OSError("our own sentence")) is None
    assert full_disk(PermissionError(errno.EACCES, "Permission denied")) is None
