"""Where a run computes: the device by name, and Accelerate's handle on all processes of the run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor

from comfyui_cldis.wording import counted

DEVICES = ("auto", "cpu", "cuda")
# How long processes wait for one another: as long as the first one may decode images or measure
# the model alone. The launcher ends all of them when one fails, so nobody waits for the dead.
PROCESS_TIMEOUT = timedelta(days=1)


def choose_device(name: str) -> str:
    """Resolve "auto"; "cuda" without a usable GPU is an error, never a fallback.

    Raises:
        ValueError: another name, or "cuda" was asked for and there is none.
    """
    if name not in DEVICES:
        raise ValueError(f"device is {name!r}. Use one of {', '.join(DEVICES)}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("There is no usable CUDA device. Use the device cpu or auto.")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def is_first_process() -> bool:
    """Whether this process speaks and writes for a run; asked before the processes know each other.

    By the environment, as torchrun and accelerate launch set it.
    """
    return os.environ.get("RANK", "0") == "0"


def num_launched() -> int:
    """How many processes were launched together, by the environment as `is_first_process`."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def open_processes(device: str) -> PartialState:
    """This process among those of the run; they meet here unless they have met before.

    Raises:
        ValueError: they have met on a device of another kind.
    """
    _leave_other_device(device)
    return PartialState(cpu=device == "cpu", timeout=PROCESS_TIMEOUT)


def _leave_other_device(kind: str) -> None:
    """Let Accelerate choose the device anew where an earlier run in this process had another."""
    if not PartialState._shared_state:
        return
    earlier = PartialState()
    if earlier.device is None or earlier.device.type == kind:
        return
    if earlier.num_processes > 1:
        raise ValueError(
            f"These processes have met on the device {earlier.device.type}, and this run is to use "
            f"{kind}. Launch it on its own."
        )
    PartialState._reset_state()


def close_processes() -> None:
    """Ends the group of processes, if there is one; its threads would abort a process that ends."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def memory_format(device: torch.device | str) -> torch.memory_format:
    """How weights, images and noise lie in memory: on a CPU channel by channel, on a GPU not.

    Channels-last is what a GPU's convolutions want; on CPUs it was measured slower
    (docs/results.md).
    """
    is_gpu = torch.device(device).type == "cuda"
    return torch.channels_last if is_gpu else torch.contiguous_format


def open_accelerator(device: torch.device, precision: str, has_idle_parts: bool) -> Accelerator:
    """The accelerator of this process; `accelerate launch` or torchrun set how many there are.

    Args:
        device: its type decides between CPU (gloo) and the local GPU.
        precision: "fp32" or "bf16".
        has_idle_parts: no step gives every parameter a gradient. Passes that train the co-pilot
            alone do not count (`Mean.of_gradients`): searching all others for idle parts costs
            time, and PyTorch warns where there are none.

    Raises:
        ValueError: as of `open_processes`.
    """
    mixed = {"fp32": "no", "bf16": "bf16"}[precision]
    # Accelerate keeps one state per process; another run in it may want another precision.
    AcceleratorState._reset_state()
    _leave_other_device(device.type)
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed,
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=has_idle_parts),
            InitProcessGroupKwargs(timeout=PROCESS_TIMEOUT),
        ],
    )


def part_of_batch(
    batch_size: int, num_processes: int, accumulation_steps: int, smallest: int = 1
) -> int:
    """Images that a process computes at a time.

    Args:
        smallest: fewest that the objective can do with.

    Raises:
        ValueError: the batch cannot be shared evenly, or its parts would be too small.
    """
    shares = num_processes * accumulation_steps
    processes = counted(num_processes, "process", "processes")
    steps = counted(accumulation_steps, "accumulation step")
    if batch_size % shares:
        raise ValueError(
            f"batch_size {batch_size} cannot be shared by {processes} with {steps}. Use a multiple "
            f"of {shares}."
        )
    size = batch_size // shares
    if size < smallest:
        raise ValueError(
            f"batch_size {batch_size} on {processes} with {steps} is {counted(size, 'image')} at a "
            f"time, and the objective compares {smallest} or more. Use fewer accumulation steps or "
            "processes, or a larger batch_size."
        )
    return size


class Mean:
    """Mean of detached tensors over all processes; the value itself when there is one process."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def __call__(self, value: Tensor) -> Tensor:
        """Any shape, the same on every process."""
        if self.accelerator.num_processes == 1:
            return value
        reduced = self.accelerator.reduce(value, reduction="mean")  # of a copy
        assert isinstance(reduced, Tensor)
        return reduced

    def of_all(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each of several tensors, of any shapes, in one exchange."""
        if self.accelerator.num_processes == 1:
            return [*values]
        mean = self(torch.cat([value.reshape(-1) for value in values]))
        parts = mean.split([value.numel() for value in values])
        return [part.view_as(value) for part, value in zip(parts, values, strict=True)]

    def of_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the mean of the gradients in their place; parameters without one stay without.

        For passes that reach a part of the network only, the same on every process.
        """
        if self.accelerator.num_processes == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        for gradient, mean in zip(gradients, self.of_all(gradients), strict=True):
            gradient.copy_(mean)
