"""Whether torch.compile works here, found out before a step depends on it."""

from __future__ import annotations

import textwrap

import torch

LONGEST_REASON = 120  # characters


def why_not_compiled(device: torch.device | str) -> str:
    """Compiles a small function and calls it on the device.

    Returns:
        "" where that works, else the reason in a few words: there is no Triton or C++ compiler, the
        GPU is too old, or PyTorch does not compile with this Python.
    """
    try:
        torch.compile(lambda x: x * 2 + 1)(torch.zeros(8, device=device))
    except Exception as error:  # of many kinds, which differ from one PyTorch to the next
        lines = [line.strip() for line in str(error).splitlines()]
        # older ones name the backend in a line of its own before the fault
        told = [line for line in lines if line and not line.startswith("backend=")]
        reason = told[0] if told else type(error).__name__
        return textwrap.shorten(reason, LONGEST_REASON, placeholder=" ...")
    return ""
