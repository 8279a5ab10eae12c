"""The imported model that an adaptation builds on: its networks, frozen, and which file it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from comfyui_cldis.checkpoint import load_checkpoint, read_header
from comfyui_cldis.checkpoint.header import Header
from comfyui_cldis.diffusion.schedule import ScheduleConfig
from comfyui_cldis.file_hash import sha256_of
from comfyui_cldis.model import DiffAE, DiffAEConfig

STORED = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class BackboneFile:
    """A file of an imported model, without its weights.

    Attributes:
        path: where it lies.
        sha256: of all of it, in hexadecimal.
        header: what it says.
        config: its architecture without a latent diffusion model.
    """

    path: Path
    sha256: str
    header: Header
    config: DiffAEConfig

    @property
    def schedule(self) -> ScheduleConfig:
        """The noise schedule that its decoder was trained with."""
        return self.header.schedule

    @property
    def dtype(self) -> torch.dtype:
        """How its weights are stored; float32 for mixed ones."""
        return STORED.get(self.header.stored_dtype, torch.float32)

    @property
    def name(self) -> str:
        """Name of the model, or of its file."""
        return self.header.facts.name or self.path.stem

    def load(self) -> DiffAE:
        """Its networks on the CPU, float32, without gradients and in inference mode.

        Raises: CheckpointError for a damaged file.
        """
        networks = load_checkpoint(self.path).networks
        assert isinstance(networks, DiffAE)
        networks.config, networks.latent_net = self.config, None
        return networks


def read_backbone(path: Path) -> BackboneFile:
    """What a file says of the model that it holds.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no model.
        ValueError: a model of another kind than an imported one.
    """
    header = read_header(path)
    if not isinstance(header.config, DiffAEConfig):
        raise ValueError(
            f"{path.name} has a co-pilot and a small code of its own already. Give a model that "
            "`cldis import-diffae` wrote."
        )
    return BackboneFile(path, hash_of(path), header, replace(header.config, latent_net=None))


def hash_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal; once for as long as it stays as it is."""
    found = path.stat()
    return _hash_of(path.resolve(), found.st_size, found.st_mtime_ns)


@lru_cache
def _hash_of(path: Path, num_bytes: int, modified: int) -> str:
    return sha256_of(path)
