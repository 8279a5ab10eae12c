"""What a finder of directions may ask of a model; codes are in standard deviations from the mean.

`ModelSpace` is a trained model, `RendererSpace` any differentiable function from codes to images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.directions.quality import drawn_latent
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.pipeline import decode
from comfyui_cldis.model import AdaptedDiffAE
from comfyui_cldis.model.build import copilot_of
from comfyui_cldis.model.conditioning import Attention
from comfyui_cldis.model.diffae.unet import DiffAEUNet
from comfyui_cldis.model.layers import ResBlock
from comfyui_cldis.tracking import TrackingSettings, track, track_renderer

from ..data import Images
from ..data.evenly import evenly
from ..training.batches import to_tensor
from .origin import items_of, origin_of

BATCH = 64  # images of up to 64 pixels at a time, fewer of larger ones
BASE_IMAGES = 1024
BASE_VALUES = 2**27  # of the base images: 512 MB
ENOUGH_CODES = 10  # images per dimension that a covariance needs
SPREAD_IMAGES = 4096  # independent components of 1,000 were up to 40 degrees off on heads
EARLIEST, LATEST = 0.5, 0.9  # noise levels of one-step images, as shares of T
LEAST_SIGNAL = 0.02  # alpha_bar below which one evaluation says too little about the image
DRAWING_STEPS = 10  # DDIM steps of base images that are drawn for want of given ones

OnProgress = Callable[[str, float], object]  # as of `tracking.track`
Scene = Callable[[Tensor], Tensor]
"""Codes (P * J, N), item-major, of P items -> images (P * J, C, S, S); all else is fixed."""


class Space(Protocol):
    """A code space with base items and a differentiable way to draw them.

    Attributes:
        codes: (n, N), codes of the base items, float32.
        spread: (m, N), codes of more items, or the same: how codes are spread.
        low, high: (N,), range that codes are kept in.
        from_images: whether the codes are those of images, and so know how codes are spread.
        origin: tells the space from others, the same whatever rounding does to codes and images.
    """

    codes: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor
    from_images: bool
    origin: str

    def scene(self, items: Tensor, generator: torch.Generator) -> Scene:
        """Items (P,) with what is random about them drawn from a CPU generator and held fixed."""
        ...

    def conditions(self, codes: Tensor) -> Tensor:
        """(b, N) -> (b, F): what the code's weights hand to the rest of the decoder.

        Raises: ValueError when there are no such weights.
        """
        ...

    def separation(
        self, vectors: Tensor, items: Tensor, seed: int, on_progress: OnProgress
    ) -> float:
        """Content tracking's score without A, in [0, 1], of directions (K, N) on base items (P,).

        Images are drawn in full. An exception raised in `on_progress` cancels.

        Raises:
            ValueError: images that content tracking cannot measure.
            ModuleNotFoundError: OpenCV is not installed.
        """
        ...


class ModelSpace:
    """A trained model, with base images or with codes drawn from its statistics.

    Args:
        images: (n, C, S, S) in [-1, 1].
        codes: (n, N), in standard deviations.
        residual: (n, R) or None.
        spread: (m, N), as `codes`, of more images; None for the codes themselves.
        view: see `NavigationSettings`.
        origin: of `origin_of`; None tells it by the codes, bit for bit.
    """

    def __init__(
        self,
        model: EditableModel,
        images: Tensor,
        codes: Tensor,
        residual: Tensor | None,
        *,
        spread: Tensor | None = None,
        view: str = "x0_hat",
        from_images: bool = True,
        origin: str | None = None,
    ) -> None:
        device = model.networks.device
        statistics = model.statistics
        self.model, self.view, self.from_images = model, view, from_images
        self.origin = origin or origin_of(model, items_of(codes))
        self.images = images.to(device)
        self.residual = None if residual is None else residual.to(device)
        self.mean, self.std = statistics.mean.to(device), statistics.std.to(device)
        self.codes = codes.to(device)
        self.spread = self.codes if spread is None else spread.to(device)
        self.low = (statistics.low.to(device) - self.mean) / self.std
        self.high = (statistics.high.to(device) - self.mean) / self.std
        total = model.schedule.config.num_train_steps
        clear = int((model.schedule.alphas_bar >= LEAST_SIGNAL).sum()) - 1
        self.latest = max(1, min(int(LATEST * total), clear))
        self.earliest = min(int(EARLIEST * total), self.latest)

    @classmethod
    def of_images(cls, model: EditableModel, images: Tensor, *, view: str = "x0_hat") -> ModelSpace:
        """Base items from images (n, C, S, S) in [-1, 1], n at least 2, at the model's size."""
        codes, residual = _encode(model, images.split(batch_size(model)))
        origin = origin_of(model, items_of(images))
        return cls(model, images, codes, residual, view=view, origin=origin)

    @classmethod
    def of_data(cls, model: EditableModel, images: Images, *, view: str = "x0_hat") -> ModelSpace:
        """Base items from at most 1,024 of the images, and their spread from at most 4,096, or
        10 for each scalar of the code; fewer base items of large images.

        Args:
            images: (n, S, S, C) uint8, n at least 2, at the model's size; read in batches.
        """
        wide = evenly(len(images), spread_images(model.networks.config.latent_dim))
        parts = _batched(wide, batch_size(model))
        spread, residual = _encode(model, (to_tensor(images[some]) for some in parts))
        base = evenly(len(wide), min(BASE_IMAGES, max(2, BASE_VALUES // images[:1].size)))
        chosen = images[wide[base]]
        return cls(
            model,
            to_tensor(chosen),
            spread[base],
            None if residual is None else residual[base],
            spread=spread,
            view=view,
            origin=origin_of(model, items_of(chosen)),
        )

    @classmethod
    def of_prior(
        cls, model: EditableModel, count: int, seed: int, *, view: str = "x0_hat"
    ) -> ModelSpace:
        """Base items whose codes are drawn from the model's statistics, and drawn by the model."""
        latent, statistics = drawn_latent(model, count, seed), model.statistics
        batch = batch_size(model)
        images = [
            decode(
                model, latent[at : at + batch], sampler=MEASURING_SAMPLER, num_steps=DRAWING_STEPS
            )
            for at in range(0, count, batch)
        ]
        codes = (latent.z - statistics.mean) / statistics.std
        return cls(
            model,
            torch.cat(images),
            codes,
            latent.residual,
            view=view,
            from_images=False,
            origin=origin_of(model, f"{count} drawn from seed {seed}"),
        )

    def with_model(self, model: EditableModel) -> ModelSpace:
        """The same items for the same networks with other statistics of the code."""
        mean, std = (each.to(self.codes) for each in (model.statistics.mean, model.statistics.std))

        def rescaled(codes: Tensor) -> Tensor:
            return (self.mean + self.std * codes - mean) / std

        return ModelSpace(
            model,
            self.images,
            rescaled(self.codes),
            self.residual,
            spread=rescaled(self.spread),
            view=self.view,
            from_images=self.from_images,
            origin=self.origin,
        )

    def scene(self, items: Tensor, generator: torch.Generator) -> Scene:
        """See `Space`. Items share a noisy image x_t, whatever the code that is tried on them.

        Source: Voynov & Babenko 2020 (arXiv:2002.03754) draw finished images; here the decoder
        is evaluated once, at a noise level where most of the image is still open.
        """
        networks, schedule = self.model.networks, self.model.schedule
        size = networks.config.image_size
        if self.view == "preview":
            copilot = copilot_of(networks)

            def preview(codes: Tensor) -> Tensor:
                z = (self.mean + self.std * codes).to(networks.dtype)
                image = copilot.decode(z).float()
                if image.shape[-1] == size:
                    return image
                return F.interpolate(image, size=(size, size), mode="bilinear")

            return preview
        device = self.images.device
        t = torch.randint(self.earliest, self.latest + 1, (len(items),), generator=generator)
        x0 = self.images[items.to(device)]
        eps = torch.randn(x0.shape, generator=generator).to(device)
        t = t.to(device)
        x_t = schedule.add_noise(x0, eps, t)
        residual = None if self.residual is None else self.residual[items.to(device)]

        def draw(codes: Tensor) -> Tensor:
            times = len(codes) // len(items)
            x, at = x_t.repeat_interleave(times, 0), t.repeat_interleave(times, 0)
            extra = None if residual is None else residual.repeat_interleave(times, 0)
            prediction = networks.predict(x, at, self.mean + self.std * codes, extra)
            return schedule.to_x0(x, prediction, at)

        return draw

    def conditions(self, codes: Tensor) -> Tensor:
        """See `Space`: scales and shifts of all blocks (adagn), or keys and values (tokens)."""
        networks = self.model.networks
        z = self.mean + self.std * codes
        if isinstance(networks, AdaptedDiffAE):
            z = networks.wide_code(z)
        unet, z = networks.unet, z.to(networks.dtype)
        parts: list[Tensor] = []
        if isinstance(unet, DiffAEUNet):
            parts += unet.conditions(z)
        elif unet.code_embedding is not None:
            embedding = F.silu(unet.code_embedding(z, None, None))
            for block in unet.modules():
                if isinstance(block, ResBlock) and block.code is not None:
                    parts.append(block.code.linear(embedding))
        elif unet.code_tokens is not None:
            tokens = unet.code_tokens(z, None, None)[:, : z.shape[1]]
            for layer in unet.modules():
                if isinstance(layer, Attention):
                    parts.append(layer.key_value(tokens).flatten(1))
        if not parts:
            raise ValueError(
                f"The decoder of {self.model.name} has no weights that take the code alone. "
                "Use another finder, such as jacobian."
            )
        return torch.cat(parts, dim=1).float()

    def separation(
        self, vectors: Tensor, items: Tensor, seed: int, on_progress: OnProgress
    ) -> float:
        """See `Space`; every item's noise is its image's own."""
        images, settings = self.images[items.to(self.images.device)].cpu(), _comparing(len(items))
        return track(
            self.model, images, settings, seed, vectors=_named(vectors), on_progress=on_progress
        ).separation


@torch.no_grad()
def _encode(model: EditableModel, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Codes (n, N) in standard deviations of images in [-1, 1], and residual codes if any."""
    networks, statistics = model.networks, model.statistics
    found = [networks.encode_semantic(batch.to(networks.device)) for batch in batches]
    count = sum(len(posterior.mu) for posterior in found)
    if count < 2:
        there = "There is 1 image" if count == 1 else f"There are {count} images"
        raise ValueError(f"{there}. Give at least 2, better 1000.")
    codes = torch.cat([posterior.mu.cpu() for posterior in found])
    residuals = [posterior.residual for posterior in found if posterior.residual is not None]
    residual = torch.cat(residuals) if residuals else None
    return (codes - statistics.mean) / statistics.std, residual


def _comparing(num_bases: int) -> TrackingSettings:
    """Settings that compare directions of one model, for which A is the same."""
    return TrackingSettings(num_bases=num_bases, num_coverage=0)


def _named(vectors: Tensor) -> dict[str, list[float]]:
    return {str(index): vector for index, vector in enumerate(vectors.tolist())}


def spread_images(latent_dim: int) -> int:
    """Images that tell how codes of so many scalars are spread."""
    return max(SPREAD_IMAGES, ENOUGH_CODES * latent_dim)


def batch_size(model: EditableModel) -> int:
    """Images that go through the networks at a time."""
    return max(1, min(BATCH, BATCH * 64**2 // model.networks.config.image_size**2))


def _batched(indices: np.ndarray, size: int) -> list[np.ndarray]:
    return np.array_split(indices, max(1, -(-len(indices) // size)))


class RendererSpace:
    """A differentiable function from codes (b, N) to images (b, C, S, S).

    Args:
        codes: (n, N), base codes in standard deviations.
    """

    from_images = True

    def __init__(self, render: Callable[[Tensor], Tensor], codes: Tensor) -> None:
        self.render, self.codes, self.spread = render, codes, codes
        self.origin = items_of(codes)
        ends = torch.quantile(codes, torch.tensor([0.005, 0.995]), dim=0)
        self.low, self.high = ends[0], ends[1]

    def scene(self, items: Tensor, generator: torch.Generator) -> Scene:
        """See `Space`; nothing but the code is random."""
        return self.render

    def conditions(self, codes: Tensor) -> Tensor:
        """The renderer itself, as one layer."""
        return self.render(codes).flatten(1)

    def separation(
        self, vectors: Tensor, items: Tensor, seed: int, on_progress: OnProgress
    ) -> float:
        """See `Space`."""
        codes, settings = self.codes[items], _comparing(len(items))
        return track_renderer(
            self.render, codes, settings, seed, vectors=_named(vectors), on_progress=on_progress
        ).separation
