"""The latent of an image: semantic code z, noise map x_T, and where the image came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import SupportsIndex

import torch
from torch import Tensor

from ..wording import counted
from .framing import Origin


@dataclass(frozen=True)
class Source:
    """The original of one item, so that an edit can be carried to its own pixels.

    Attributes:
        pixels: (C, H, W) uint8, or float32 in [0, 1], as they were given; C is that of the model,
            or one more with alpha last. Never changed, and copied nowhere.
        code: (N,), z of the item before any edit.
        between: of a frame between two images, those two; pixels and code are of the first.
    """

    pixels: Tensor
    code: Tensor
    between: Between | None = None


@dataclass(frozen=True)
class Between:
    """The two images that a frame lies between, see `morph`.

    Attributes:
        first, second: latents of one item each, with sources.
        share: in [0, 1], of the second in the pixels of the frame.
    """

    first: Latent
    second: Latent
    share: float


@dataclass(frozen=True)
class Latent:
    """Codes of a batch; operations return new ones and never change a tensor in place.

    Attributes:
        z: semantic code (B, N), float32, in the encoder's raw units.
        x_T: noise map (B, C, S, S) from inversion, or None.
        residual: residual code (B, R), or None.
        origins: one Origin per item, or () when unknown.
        sources: one Source per item, or () when unknown; with origins only.
        fingerprint: `EditableModel.fingerprint` of the model that the codes are of, or "".
    """

    z: Tensor
    x_T: Tensor | None = None
    residual: Tensor | None = None
    origins: tuple[Origin, ...] = ()
    sources: tuple[Source, ...] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if self.z.dim() != 2:
            raise ValueError(f"z has shape {tuple(self.z.shape)}. Give (B, N).")
        for name in ("x_T", "residual", "origins", "sources"):
            value = getattr(self, name)
            if value is not None and len(value) not in (0, len(self.z)):
                raise ValueError(
                    f"{name} has {len(value)} items but z has {len(self.z)}. Give one per item."
                )
        if self.sources and not self.origins:
            raise ValueError("The latent has sources but no origins. Give both.")

    def __len__(self) -> int:
        return self.z.shape[0]

    def with_z(self, z: Tensor) -> Latent:
        """The same latent with another code of the same shape."""
        return replace(self, z=z)

    def repeat(self, times: int) -> Latent:
        """Each item `times` times in a row: (B) -> (B * times), item-major."""
        return Latent(
            z=self.z.repeat_interleave(times, 0),
            x_T=None if self.x_T is None else self.x_T.repeat_interleave(times, 0),
            residual=None if self.residual is None else self.residual.repeat_interleave(times, 0),
            origins=tuple(origin for origin in self.origins for _ in range(times)),
            sources=tuple(source for source in self.sources for _ in range(times)),
            fingerprint=self.fingerprint,
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> Latent:
        """A new latent with `function` applied to every tensor but those of the sources."""
        return replace(
            self,
            z=function(self.z),
            x_T=None if self.x_T is None else function(self.x_T),
            residual=None if self.residual is None else function(self.residual),
        )

    @classmethod
    def cat(cls, parts: Sequence[Latent]) -> Latent:
        """The batches of `parts`, one after the other.

        Raises:
            ValueError: no parts, parts of different models, or only some of them have x_T, a
                residual code, origins or sources.
        """

        def together(tensors: list[Tensor | None], name: str) -> Tensor | None:
            given = [tensor for tensor in tensors if tensor is not None]
            if given and len(given) != len(tensors):
                raise ValueError(f"Only some of the latents have {name}. Encode all alike.")
            return torch.cat(given) if given else None

        if not parts:
            raise ValueError("There are no latents to join. Give at least one.")
        fingerprints = [part.fingerprint for part in parts]
        if not are_of_one_model(*fingerprints):
            raise ValueError("The latents come from different models. Encode all with one model.")
        origins = tuple(origin for part in parts for origin in part.origins)
        if origins and not all(part.origins for part in parts):
            raise ValueError("Only some of the latents have origins. Encode all alike.")
        sources = tuple(source for part in parts for source in part.sources)
        if sources and not all(part.sources for part in parts):
            raise ValueError("Only some of the latents have sources. Encode all alike.")
        return cls(
            z=torch.cat([part.z for part in parts]),
            x_T=together([part.x_T for part in parts], "x_T"),
            residual=together([part.residual for part in parts], "a residual code"),
            origins=origins,
            sources=sources,
            fingerprint=max(fingerprints),  # "" where all are unknown
        )

    def __getitem__(self, items: slice | SupportsIndex) -> Latent:
        """A slice of the batch; a whole number gives the batch of that one item.

        Raises:
            IndexError: a number beyond the ends, so that a latent can be gone through in a loop.
            TypeError: neither a slice nor a whole number.
        """
        if not isinstance(items, slice):
            items = _one(items, len(self))
        return Latent(
            z=self.z[items],
            x_T=None if self.x_T is None else self.x_T[items],
            residual=None if self.residual is None else self.residual[items],
            origins=self.origins[items],
            sources=self.sources[items],
            fingerprint=self.fingerprint,
        )


def are_of_one_model(*fingerprints: str) -> bool:
    """Whether these may be the fingerprints of one model; "" is unknown and goes with any."""
    return len(set(fingerprints) - {""}) <= 1


def _one(item: SupportsIndex, count: int) -> slice:
    """The slice of one of `count` items; a negative number counts from the end."""
    try:
        number = index(item)
    except TypeError as error:
        raise TypeError(
            f"The items of a latent are {item!r}. Give a slice such as 0:2, or a whole number."
        ) from error
    if not -count <= number < count:
        raise IndexError(
            f"There is no item {number} in a latent of {counted(count, 'item')}. Count from 0."
        )
    start = number % count
    return slice(start, start + 1)


def slerp(first: Tensor, second: Tensor, fraction: float) -> Tensor:
    """Spherical interpolation of noise maps (B, ...), per item; 0 gives `first`, 1 `second`.

    Source: Shoemake 1985; used for x_T in Preechakul et al. 2022, section 4.1.
    """
    if fraction == 0:
        return first
    if fraction == 1:
        return second
    # on the CPU: some devices know no float64
    a, b = first.flatten(1).cpu().double(), second.flatten(1).cpu().double()
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))[:, None]
    sine = torch.sin(angle)
    straight = (1 - fraction) * a + fraction * b
    round_ = (torch.sin((1 - fraction) * angle) * a + torch.sin(fraction * angle) * b) / sine.clamp(
        min=1e-12
    )
    mixed = torch.where(sine < 1e-6, straight, round_)
    return mixed.to(first.dtype).to(first.device).view_as(first)
