"""Where a run computes: the device by name, and Accelerate's handle on all processes of the run."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor


def choose_device(name: str) -> str:
    """Resolve "auto"; "cuda" without a usable GPU is an error, never a fallback.

    Raises:
        ValueError: "cuda" was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("There is no usable CUDA device. Use --device cpu or --device auto.")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def open_accelerator(device: torch.device, precision: str, has_idle_parts: bool) -> Accelerator:
    """The accelerator of this process; `accelerate launch` or torchrun set how many there are.

    Args:
        device: its type decides between CPU (gloo) and the local GPU.
        precision: "fp32" or "bf16".
        has_idle_parts: some steps leave a part of the network without gradient.
    """
    mixed = {"fp32": "no", "bf16": "bf16"}[precision]
    # Accelerate keeps one state per process; a second run in it may want another precision.
    if AcceleratorState._shared_state.get("_mixed_precision", mixed) != mixed:
        AcceleratorState._reset_state()
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=has_idle_parts)],
    )


class Mean:
    """Mean of detached tensors over all processes; the value itself when there is one process."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def __call__(self, value: Tensor) -> Tensor:
        """Any shape, the same on every process."""
        if self.accelerator.num_processes == 1:
            return value
        reduced = self.accelerator.reduce(value.clone(), reduction="mean")
        assert isinstance(reduced, Tensor)
        return reduced
