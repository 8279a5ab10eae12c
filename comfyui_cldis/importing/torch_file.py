"""Files that torch.save wrote, zip or older: their pickle as data, their tensors one at a time."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from .errors import ForeignFileError, unreadable
from .restricted_pickle import read_pickle
from .stored import DTYPES, Inert, StoredTensor, StoredValues

OLD_MAGIC, OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001
PICKLE_LIMIT = 512 * 1024 * 1024  # bytes of the pickle alone, without tensors
ZIP_START, PICKLE_STARTS = b"PK\x03\x04", (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ENCRYPTED = 1  # a flag of an entry of a zip file
# What Python's own reader of zip files raises for damaged ones.
_DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    OSError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    ValueError,
    struct.error,
)


class TorchFile:
    """An open file of `size` bytes; `root` is its object, in which tensors are `StoredTensor`.

    Raises:
        ForeignFileError: another kind of file, a damaged one, or one with names that have no place
            in it.
        FileNotFoundError: there is no such file.
    """

    root: Any

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._archive: zipfile.ZipFile | None = None
        self._starts: dict[str, int] = {}  # of values in the older format, in bytes
        if path.is_dir():
            raise ForeignFileError(f"{path} is a folder. Choose the checkpoint file in it.")
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist. Check the path.")
        self._file: BinaryIO = path.open("rb")
        self.size = os.fstat(self._file.fileno()).st_size
        try:
            start = self._file.read(4)
            self._file.seek(0)
            if start == ZIP_START:
                self._open_zip()
            elif start[:2] in PICKLE_STARTS:
                self._open_old()
            else:
                raise ForeignFileError(
                    f"{self.name} is no file that PyTorch wrote. Choose the last.ckpt of a Diff-AE."
                )
        except BaseException as error:
            self.close()
            if isinstance(error, _DAMAGED) and not isinstance(error, ForeignFileError):
                raise unreadable(self.name, error) from error
            raise

    def __enter__(self) -> TorchFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._archive is not None:
            self._archive.close()
        self._file.close()

    def read(self, tensor: StoredTensor) -> Tensor:
        """The tensor itself, contiguous, on the CPU.

        Raises: ForeignFileError where its values are not all in the file.
        """
        values = tensor.values
        if 0 in tensor.shape:
            return torch.empty(tensor.shape, dtype=values.dtype)
        try:
            data = self._zipped(values) if self._archive is not None else self._plain(values)
        except ForeignFileError:
            raise
        except _DAMAGED as error:
            raise unreadable(self.name, error) from error
        flat = torch.frombuffer(data, dtype=values.dtype)
        return flat.as_strided(
            tensor.shape, tensor.strides, values.first + tensor.offset
        ).contiguous()

    def _open_zip(self) -> None:
        self._archive = zipfile.ZipFile(self._file)
        pickles = [name for name in self._archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ForeignFileError(
                f"{self.name} is a zip file that PyTorch did not write. Choose the last.ckpt of a "
                "Diff-AE."
            )
        self._folder = pickles[0].removesuffix("data.pkl")
        order = self._folder + "byteorder"
        if order in self._archive.namelist() and self._entry(order, 16) != b"little":
            raise ForeignFileError(
                f"{self.name} holds numbers in the byte order of another machine. Save it anew on "
                "one with an x86 or ARM processor."
            )
        data = self._entry(pickles[0], PICKLE_LIMIT)
        self.root = read_pickle(io.BytesIO(data), self.name, self._values)

    def _entry(self, name: str, limit: int) -> bytes:
        """A whole entry of the zip file, which torch never compresses."""
        assert self._archive is not None
        info = self._archive.getinfo(name)
        is_plain = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED
        if not is_plain or info.compress_size != info.file_size or info.file_size > limit:
            raise unreadable(self.name, f"'{name}' in it is compressed, encrypted or too large")
        return self._archive.read(info)

    def _zipped(self, values: StoredValues) -> bytearray:
        assert self._archive is not None
        name = f"{self._folder}data/{values.key}"
        size = self._archive.getinfo(name).file_size
        if size != values.num_bytes:
            raise unreadable(
                self.name, f"'{name}' in it has {size} bytes, and {values.num_bytes} are stated"
            )
        return bytearray(self._entry(name, values.num_bytes))

    def _open_old(self) -> None:
        """A magic number, a version, the sizes of C types, the object, keys; then the values."""
        nothing = self._values
        header = [read_pickle(self._file, self.name, nothing) for _ in range(3)]
        if header[0] != OLD_MAGIC or header[1] != OLD_VERSION:
            raise ForeignFileError(
                f"{self.name} is a pickle that PyTorch did not write. Choose the last.ckpt of a "
                "Diff-AE, or its latent.pkl."
            )
        kinds: dict[str, StoredValues] = {}

        def keep(identity: Any) -> Any:
            values = self._values(identity)
            if isinstance(values, StoredValues):
                kinds[values.key] = values
            return values

        self.root = read_pickle(self._file, self.name, keep)
        keys = read_pickle(self._file, self.name, nothing)
        are_names = isinstance(keys, list) and all(isinstance(key, str | int) for key in keys)
        if not are_names or not kinds.keys() <= set(map(str, keys)):
            raise unreadable(self.name, "it does not list all of its tensors")
        start = self._file.tell()
        for key in map(str, keys):
            if key not in kinds:
                raise unreadable(self.name, f"it lists the values '{key}', which nothing uses")
            self._file.seek(start)
            count = int.from_bytes(self._file.read(8), "little")
            values = kinds[key]
            if count != values.count or start + 8 + values.num_bytes > self.size:
                raise unreadable(self.name, "it ends before its last tensor")
            self._starts[key] = start + 8
            start += 8 + values.num_bytes

    def _plain(self, values: StoredValues) -> bytearray:
        start = self._starts[values.key]
        if start + values.num_bytes > self.size:
            raise EOFError("it ends within a tensor")
        self._file.seek(start)
        return bytearray(self._file.read(values.num_bytes))

    def _values(self, identity: Any) -> StoredValues:
        """What torch's persistent ids ("storage", kind, key, device, count[, view]) stand for."""
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise ValueError("something lies beside the pickle that is no tensor")
        kind, key, count = identity[1], identity[2], identity[4]
        if not isinstance(key, str | int):
            raise ValueError("the name of a tensor's values is no text")
        name = kind.name.removeprefix("torch.") if isinstance(kind, Inert) else ""
        if name not in DTYPES or type(count) is not int or not 0 <= count < 2**40:
            raise ValueError("the kind or number of a tensor's values is unknown")
        view = identity[5] if len(identity) > 5 else None
        first = view[1] if isinstance(view, tuple) and len(view) == 3 else 0
        if type(first) is not int or first < 0:
            raise ValueError("a view of values begins before them")
        return StoredValues(str(key), DTYPES[name], count, first)
