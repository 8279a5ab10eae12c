"""A second device on a machine that has none: its tensors are on the CPU, and say otherwise.

Within `pretended()` a tensor that goes to `DEVICE` computes as on the CPU, and an operation on
tensors of two devices is refused, as on a graphics card. Networks stay on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "lazy"  # of the names that torch knows, one without a backend that it looks for
ACROSS = {"aten::copy_", "aten::index", "aten::_index_put_impl_", "aten::index_put_"}


@contextmanager
def pretended() -> Iterator[None]:
    """While it is entered, tensors can be moved to `DEVICE` and back."""
    with _FromNumbers(), _Mode():
        yield


class _Far(torch.Tensor):
    """On `DEVICE`; `held` has its values."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> _Far:
        far = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(DEVICE),
        )
        far.held = held
        return far

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """Tensors of numbers, which torch makes beneath what `_Mode` sees."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor:
            device = kwargs.pop("device", None)
            return func(*args, **kwargs).to(device or "cpu")
        if func is torch.Tensor.__getitem__ and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]))
        return func(*args, **kwargs)


def _call(func: Any, args: Any, kwargs: Any) -> Any:
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    is_far = any(isinstance(each, _Far) for each in tensors)
    are_mixed = is_far and any(not isinstance(each, _Far) and each.dim() for each in tensors)
    if are_mixed and func._schema.name not in ACROSS:
        raise RuntimeError(f"Expected all tensors to be on the same device, in {func}.")
    wanted = kwargs.get("device")
    if wanted is not None:
        is_far = torch.device(wanted).type == DEVICE
        kwargs = {**kwargs, "device": "cpu"}
    found = func(*_map(_near, args), **_map(_near, kwargs))
    if func._schema.name.endswith("_"):  # in place
        return args[0]
    return _map(_Far, found) if is_far else found


def _map(change: Callable[[torch.Tensor], torch.Tensor], values: Any) -> Any:
    return tree_map(lambda each: change(each) if isinstance(each, torch.Tensor) else each, values)


def _near(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.held if isinstance(tensor, _Far) else tensor
