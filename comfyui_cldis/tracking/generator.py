"""What the score may ask of a model: images of base items whose codes are shifted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ..imaging.lab import to_lab

SMALLEST_SIDE, LARGEST_SIDE = 16, 128  # pixels; larger images are measured at this size


class Generator(Protocol):
    """A deterministic renderer of B base items in N code dimensions.

    Everything but the code (a diffusion model's noise map) is fixed per item.
    """

    @property
    def num_bases(self) -> int:
        """B, at least 1."""
        ...

    @property
    def num_codes(self) -> int:
        """N, at least 1."""
        ...

    def decode(self, items: Tensor, shifts: Tensor) -> Tensor:
        """Images of base items with shifted codes; equal arguments give equal images.

        Args:
            items: (n,) long, in 0 .. B - 1.
            shifts: (n, N), in standard deviations of each code over the data.

        Returns:
            (n, 1 or 3, H, W) in [-1, 1], sRGB.
        """
        ...

    def coverage(self, seed: int) -> float | None:
        """A: share of the images' variance that the code alone explains, in [0, 1].

        The noise is drawn from `seed`. None when it cannot be known: there are no images.
        """
        ...


class RendererGenerator:
    """Any function from codes to images, such as the decoder of another method.

    Args:
        render: codes (n, N) -> images (n, 1 or 3, H, W) in [-1, 1]; equal codes must give equal
            images.
        codes: base codes (B, N).
        deviations: (N,), what one standard deviation of each code is; 1 without it.
        coverage: A, when it was measured; the score is unknown without it.

    Raises:
        ValueError: codes or deviations of another shape, or values that are not finite.
    """

    def __init__(
        self,
        render: Callable[[Tensor], Tensor],
        codes: Tensor,
        *,
        deviations: Tensor | None = None,
        coverage: float | None = None,
    ) -> None:
        if codes.dim() != 2 or not codes.numel() or not bool(torch.isfinite(codes).all()):
            raise ValueError(
                f"The base codes have shape {tuple(codes.shape)}; expected finite numbers (B, N). "
                "Give one row for each base image."
            )
        if deviations is None:
            deviations = torch.ones(codes.shape[1])
        if deviations.shape != codes.shape[1:] or not bool((deviations > 0).all()):
            raise ValueError(
                f"The deviations have shape {tuple(deviations.shape)}; expected "
                f"({codes.shape[1]},), all above 0. Give one standard deviation for each code."
            )
        if coverage is not None and not 0 <= coverage <= 1:
            raise ValueError(f"The coverage is {coverage}. Use 0 to 1, or none when unknown.")
        self.render, self.codes, self.deviations = render, codes, deviations
        self._coverage = coverage

    @property
    def num_bases(self) -> int:
        return len(self.codes)

    @property
    def num_codes(self) -> int:
        return self.codes.shape[1]

    def decode(self, items: Tensor, shifts: Tensor) -> Tensor:
        """See `Generator`."""
        return self.render(self.codes[items] + shifts * self.deviations)

    def coverage(self, seed: int) -> float | None:
        """What was given."""
        return self._coverage


def draw(generator: Generator, items: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
    """The generator's images, and the same as CIELAB (n, 3, H, W) of at most LARGEST_SIDE pixels.

    Raises:
        ValueError: images of another shape, too small, or with NaN or infinite values.
    """
    images = generator.decode(items, shifts)
    if images.dim() != 4 or len(images) != len(items):
        raise ValueError(
            f"The generator drew {tuple(images.shape)} for {len(items)} items; expected "
            f"({len(items)}, 1 or 3, H, W). Return one image per item."
        )
    if not bool(torch.isfinite(images).all()):
        raise ValueError("The generator drew NaN or infinite values. Check the model's weights.")
    height, width = images.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"The images are {width} x {height} pixels; motion needs at least "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE}. Use a larger model."
        )
    lab = to_lab(images.detach()).cpu()
    factor = LARGEST_SIDE / max(height, width)
    if factor < 1:
        size = tuple(max(SMALLEST_SIDE, round(side * factor)) for side in (height, width))
        lab = functional.interpolate(lab, size=size, mode="area")
    return images, lab
