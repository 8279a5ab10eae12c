"""What a checkpoint's pickle is read into: tensors still on disk, and objects without behaviour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

MAXIMUM_DIMENSIONS = 8
KEY_LIMIT = 1 << 32  # of whole numbers as keys; larger ones can be chosen to share a hash
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class StoredValues:
    """A run of numbers in the file.

    Attributes:
        key: its name there.
        dtype: of the numbers.
        count: how many.
        first: index of the first one that counts, where several share a run.
    """

    key: str
    dtype: torch.dtype
    count: int
    first: int = 0

    @property
    def num_bytes(self) -> int:
        """Its size in the file."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a view of stored values; sizes and strides in elements.

    Raises: ValueError for a view that leaves its values.
    """

    values: StoredValues
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        whole = [self.offset, *self.shape, *self.strides]
        is_whole = all(type(number) is int and 0 <= number < 2**48 for number in whole)
        if not is_whole or len(self.shape) != len(self.strides):
            raise ValueError("a tensor has no proper shape")
        if len(self.shape) > MAXIMUM_DIMENSIONS:
            raise ValueError(f"a tensor has {len(self.shape)} dimensions")
        if 0 in self.shape:
            return
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if self.values.first + self.offset + last >= self.values.count:
            raise ValueError("a tensor lies beyond its values")
        # Views may repeat values, but none of a checkpoint does; it would ask for any memory.
        if torch.Size(self.shape).numel() > self.values.count:
            raise ValueError("a tensor repeats its values")

    @property
    def num_bytes(self) -> int:
        """Its size once it is read."""
        return torch.Size(self.shape).numel() * self.values.dtype.itemsize


@dataclass(eq=False, repr=False)
class Inert:
    """What an object of a foreign class was made of; none of its code is known or run.

    Attributes:
        name: of the class or function.
        args: it was called with.
        items: of a dictionary.
        elements: of a list or set.
        state: of its attributes, where they are a dictionary.
    """

    name: str
    args: Any = ()
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)
    state: Mapping[Any, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Its name alone: what it was made of can be nested without end."""
        return f"<{self.name}>"


_KEYS = (type(None), bool, int, float, str, bytes, Inert)  # each quick to hash


def dictionary(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    """A dictionary of pairs, or a copy of one, with keys such as a checkpoint has.

    Python hashes nested tuples by recursion without a limit, and shared ones again and again.

    Raises: ValueError for a key of another type, such as a tuple, or too large a number.
    """
    found = {}
    for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
        if not isinstance(key, _KEYS):
            raise ValueError(f"a {type(key).__name__} is a key of a dictionary")
        if isinstance(key, int) and abs(key) >= KEY_LIMIT:
            raise ValueError("a key of a dictionary is too large a number")
        found[key] = value
    return found


def as_mapping(value: Any) -> Mapping[Any, Any]:
    """A dictionary, or the items and attributes of an object; {} for anything else."""
    if isinstance(value, Inert):
        return {**value.state, **value.items}
    return value if isinstance(value, Mapping) else {}
