"""Reads and writes checkpoint files: strict when reading, atomic when writing.

Tensors of a file: `networks.*` (the weights), `statistics.{mean,std,low,high}` (N,) and
`directions.vectors` (K, N), the last two kinds always float32, and those of `added`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..atomic_write import replacing
from ..diffusion.schedule import NoiseSchedule
from ..editing.editable import EditableModel, LatentStatistics
from ..model.build import Networks, NetworksConfig, build_networks
from ..wording import printable
from .added import THUMBNAILS, added_tensors, read_layout
from .container import check_container, check_header_size, utf8_name
from .differences import Shape, differences, listed
from .header import (
    CheckpointError,
    Header,
    check_format,
    read_config,
    read_directions,
    read_entries,
    read_facts,
    to_metadata,
)
from .slider_names import with_names

WEIGHTS = "networks."
STATISTICS = ("mean", "std", "low", "high")
VECTORS = "directions.vectors"
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    operations: Any = torch.nn,
    dtype: torch.dtype = torch.float32,
) -> EditableModel:
    """Loads a model onto the CPU, in inference mode, its weights as `dtype` and without gradients.

    Args:
        operations: namespace of the layer classes, such as torch.nn or one of ComfyUI's.
        dtype: float32, float16 or bfloat16, whatever the file stores.
    Raises:
        CheckpointError: the file is no CL-Dis model, damaged, of another version, or does not fit
            its own description; or the names beside it are damaged (`slider_names`).
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    _check_dtype(dtype)
    with _Reader(path) as reader:
        networks = _build(reader.config, operations, path.name).to(dtype)
        expected = {WEIGHTS + key: tuple(t.shape) for key, t in networks.state_dict().items()}
        _check_tensors(expected | reader.facts_shapes(), reader.shapes(), path.name)
        header = reader.header()
        statistics = reader.statistics()
        weights = {key.removeprefix(WEIGHTS): reader.tensor(key) for key in expected}
    networks.to_empty(device="cpu").load_state_dict(weights, strict=True)
    _check_finite(networks.state_dict(), f"{path.name} in {_short(dtype)}")
    networks.requires_grad_(False).train(False)
    return EditableModel(
        networks=networks,
        schedule=NoiseSchedule(header.schedule),
        statistics=statistics,
        directions=header.directions,
        facts=header.facts,
    )


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads what a file says about its model, none of its weights.

    Raises: CheckpointError and FileNotFoundError, as `load_checkpoint`.
    """
    with _Reader(Path(path)) as reader:
        return reader.header()


def save_checkpoint(
    path: str | os.PathLike[str], model: EditableModel, *, dtype: torch.dtype = torch.float32
) -> None:
    """Writes `model` to one `.safetensors` file; a failure leaves the old file, or none, behind.

    A symbolic link at `path` stays, and the file that it points to is replaced.

    Args:
        dtype: how the floating-point weights are stored; float16 halves the file.
    Raises:
        CheckpointError: facts that JSON cannot hold, a header over 1 MiB, values that are not
            finite in `dtype`, or another file name ending.
        FileNotFoundError: the folder does not exist.
        OSError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    _check_dtype(dtype)
    if path.suffix.lower() != ".safetensors":
        raise CheckpointError(f"{path.name} does not end in .safetensors. Choose such a name.")
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist. Create it first.")
    metadata = to_metadata(model)
    tensors = _tensors(model, dtype)
    _check_finite(tensors, f"The model in {_short(dtype)}")
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # what safetensors makes of a full disk
            raise OSError(
                f"{path} could not be written: {str(error).rstrip('.')}. Free space there, or "
                "choose another folder."
            ) from error
        check_header_size(temporary, path.name)


class _Reader:
    """An open file, checked to be a CL-Dis model this version reads."""

    def __init__(self, path: Path) -> None:
        check_container(path)
        self.path = path
        try:
            with utf8_name(path) as name:
                self.file = safe_open(name, framework="pt", device="cpu")
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path.name, error) from error
        try:
            self.metadata = self.file.metadata() or {}
            self.version = check_format(self.metadata, path.name)
            self.config, self.schedule = read_config(self.metadata, path.name)
            self.entries = read_entries(self.metadata, self.version, path.name)
            self.layout = read_layout(self.entries, path.name)
            self.names = sorted(self.file.keys())
        except BaseException:
            self.file.__exit__(None, None, None)
            raise

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.__exit__(*error)

    def shapes(self) -> dict[str, Shape]:
        """Shapes of all tensors, read without their values."""
        return {name: tuple(self.file.get_slice(name).get_shape()) for name in self.names}

    def facts_shapes(self) -> dict[str, Shape]:
        """The shapes that the tensors besides the weights must have."""
        latent_dim = self.config.latent_dim
        shapes: dict[str, Shape] = {f"statistics.{name}": (latent_dim,) for name in STATISTICS}
        return shapes | {VECTORS: (len(self.entries), latent_dim)} | self.layout.shapes(latent_dim)

    def tensor(self, name: str) -> Tensor:
        """A copy of one tensor; it does not keep the file mapped."""
        try:
            return self.file.get_tensor(name).clone()
        except (SafetensorError, OSError) as error:
            raise _damaged(self.path.name, error) from error

    def header(self) -> Header:
        """The facts, with all that is known of directions, but without statistics and weights."""
        name = self.path.name
        facts, shares = read_facts(self.metadata, name)
        vectors = self._facts_tensor(VECTORS).tolist()
        shapes = self.layout.shapes(self.config.latent_dim)
        added = self.layout.share_out({key: self._facts_tensor(key) for key in shapes})
        weights = [self.file.get_slice(key) for key in self.names if key.startswith(WEIGHTS)]
        dtypes = {str(weight.get_dtype()) for weight in weights} & _STORED.keys()
        return Header(
            format_version=self.version,
            config=self.config,
            schedule=self.schedule,
            directions=with_names(
                self.path, read_directions(self.entries, vectors, added, shares, name)
            ),
            facts=facts,
            parameters=sum(torch.Size(weight.get_shape()).numel() for weight in weights),
            stored_dtype=", ".join(sorted(_STORED[found] for found in dtypes)),
        )

    def statistics(self) -> LatentStatistics:
        """The latent statistics, checked."""
        values = {name: self._facts_tensor(f"statistics.{name}") for name in STATISTICS}
        try:
            return LatentStatistics(**values)
        except ValueError as error:
            raise _damaged(self.path.name, error) from error

    def _facts_tensor(self, name: str) -> Tensor:
        """One of the tensors besides the weights: of the right dtype and shape, finite."""
        found = {name: self.shapes()[name]} if name in self.names else {}
        _check_tensors({name: self.facts_shapes()[name]}, found, self.path.name)
        tensor = self.tensor(name)
        expected = torch.uint8 if name == THUMBNAILS else torch.float32
        if tensor.dtype != expected:
            raise CheckpointError(
                f"{self.path.name} has '{name}' as {_short(tensor.dtype)}; expected "
                f"{_short(expected)}. Export the model again."
            )
        _check_finite({name: tensor}, self.path.name)
        return tensor


_STORED = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _build(config: NetworksConfig, operations: Any, name: str) -> Networks:
    """Networks without memory for their weights, so that a hostile header cannot ask for any."""
    try:
        with torch.device("meta"):
            return build_networks(config, operations)
    except (RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = printable(str(error).splitlines()[0].rstrip("."))
        raise CheckpointError(
            f"{name} describes networks that cannot be built: {reason}. "
            "Export the model again, or update the pack."
        ) from error


def _damaged(name: str, error: Exception) -> CheckpointError:
    reason = printable(str(error).rstrip("."))
    return CheckpointError(
        f"{name} is damaged or incomplete: {reason}. Download or export the file again."
    )


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype not in DTYPES:
        allowed = ", ".join(_short(each) for each in DTYPES)
        raise ValueError(f"dtype is {_short(dtype)}. Use one of {allowed}.")


def _check_tensors(expected: Mapping[str, Shape], found: Mapping[str, Shape], name: str) -> None:
    """Compares names and shapes and reports every difference in one error."""
    unlike = differences(expected, found)
    if unlike:
        raise CheckpointError(
            f"The tensors of {name} do not fit its header ({unlike}). "
            "Export the model again with the version that trained it, or update the pack."
        )


def _check_finite(tensors: Mapping[str, Tensor], subject: str) -> None:
    bad = sorted(
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    )
    if bad:
        raise CheckpointError(
            f"{subject} has values that are not finite in {listed(bad)}. "
            "Use float32 if it is float16 that overflows, else an earlier state of the training."
        )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _tensors(model: EditableModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies of everything that is stored, on the CPU, contiguous and sharing no memory."""

    def copied(tensor: Tensor, kind: torch.dtype) -> Tensor:
        return tensor.detach().to("cpu", kind).clone(memory_format=torch.contiguous_format)

    tensors = {
        WEIGHTS + key: copied(tensor, dtype if tensor.is_floating_point() else tensor.dtype)
        for key, tensor in model.networks.state_dict().items()
    }
    for name in STATISTICS:
        value = getattr(model.statistics, name)
        tensors[f"statistics.{name}"] = copied(value, torch.float32)
    vectors = [direction.vector for direction in model.directions]
    size = (len(vectors), model.networks.config.latent_dim)
    tensors[VECTORS] = torch.tensor(vectors, dtype=torch.float32).reshape(size)
    return tensors | added_tensors(model.directions)
