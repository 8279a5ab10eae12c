"""A trained model as a `Generator`: base images with fixed noise, whose codes are shifted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..diffusion.noise import item_seeds
from ..diffusion.samplers import MEASURING_SAMPLER
from ..directions.quality import drawn_latent
from ..editing.code_path import CodePath
from ..editing.editable import EditableModel
from ..editing.latent import Latent
from ..editing.pipeline import decode, encode
from ..imaging.tensors import from_pixels
from .settings import TrackingSettings
from .vectors import axis_vectors

Images = Tensor | np.ndarray
BATCH = 32


class ModelGenerator:
    """Base latents of a model; `bases_from_images` and `bases_from_prior` make one.

    Args:
        latent: base items with their noise x_T.
        images: (n, C, S, S) in [-1, 1] that A is measured on, or None to take the figure that the
            model's file records, if it does.
        num_steps: steps of the DDIM sampler.

    Raises:
        ValueError: no base items, no noise, or a model that does not draw images.
    """

    def __init__(
        self, model: EditableModel, latent: Latent, *, measured: Tensor | None, num_steps: int
    ) -> None:
        if not len(latent) or latent.x_T is None:
            raise ValueError(
                "Content tracking needs at least one base latent with its noise. "
                "Encode images with inversion steps above 0."
            )
        self.model, self.latent, self.measured = model, latent, measured
        self.num_steps = num_steps

    @property
    def num_bases(self) -> int:
        return len(self.latent)

    @property
    def num_codes(self) -> int:
        return self.model.networks.config.latent_dim

    def decode(self, items: Tensor, shifts: Tensor) -> Tensor:
        """See `Generator`; float32, one step of the sampler after the other on all n items."""
        base = self.latent
        assert base.x_T is not None  # checked when built
        moved = Latent(
            z=base.z[items] + shifts * self.model.statistics.std,
            x_T=base.x_T[items],
            residual=None if base.residual is None else base.residual[items],
        )
        return decode(self.model, moved, sampler=MEASURING_SAMPLER, num_steps=self.num_steps)

    def coverage(self, seed: int) -> float | None:
        """A = 1 - MSE(x, G(E(x))) / Var(x), cut to [0, 1], with sampled x_T and no residual code.

        The variance is that about the mean of the images, and unbiased; None where there is none.
        With fewer than two images the recorded figure is returned.
        """
        if self.measured is None or len(self.measured) < 2:
            return recorded_coverage(self.model)
        error, seeds = 0.0, item_seeds(seed, len(self.measured))
        for start in range(0, len(self.measured), BATCH):
            part = self.measured[start : start + BATCH]
            code = Latent(encode(self.model, part, inversion_steps=0).z)
            drawn = decode(
                self.model,
                code,
                sampler=MEASURING_SAMPLER,
                num_steps=self.num_steps,
                seed=seeds[start : start + len(part)],
            )
            error += float((drawn - part).double().square().sum())
        variance = float(self.measured.double().var(dim=0).sum()) * len(self.measured)
        return min(1.0, max(0.0, 1 - error / variance)) if variance else None


def bases_from_images(
    model: EditableModel, images: Images, settings: TrackingSettings, seed: int
) -> ModelGenerator:
    """Bases with their inverted x_T, which edits keep as well; the seed draws them.

    Args:
        images: as in `track`, at least two.

    Raises:
        ValueError: fewer, of another shape or type, not finite, or all the same.
    """
    _check_draws_images(model)
    if len(images) < 2:
        raise ValueError(
            f"Content tracking got {len(images)} images. Give at least 2, better "
            f"{max(settings.num_bases, settings.num_coverage)}."
        )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = order[: max(settings.num_bases, settings.num_coverage)]
    measured = _as_tensor(images, chosen)
    _check_differ(measured[: settings.num_coverage])
    bases = measured[: settings.num_bases]
    parts = [
        encode(model, part, inversion=MEASURING_SAMPLER, inversion_steps=settings.num_steps)
        for part in bases.split(BATCH)
    ]
    return ModelGenerator(
        model,
        Latent.cat(parts),
        measured=measured[: settings.num_coverage],
        num_steps=settings.num_steps,
    )


def bases_from_prior(model: EditableModel, settings: TrackingSettings, seed: int) -> ModelGenerator:
    """Codes drawn from the statistics of the training set, each with noise of its own.

    Without images A cannot be measured; the figure recorded in the model's file stands in.
    """
    _check_draws_images(model)
    latent = drawn_latent(model, settings.num_bases, seed)
    return ModelGenerator(model, latent, measured=None, num_steps=settings.num_steps)


def recorded_coverage(model: EditableModel) -> float | None:
    """A as the model's file records it (measured at export on unseen images), or None."""
    value = model.facts.quality.explained_variance_random_noise
    return None if value is None else min(1.0, max(0.0, value))


def model_vectors(model: EditableModel, directions: str) -> dict[str, list[float]]:
    """The "model"'s own directions, or the "axes" of its code, named as its sliders where it has,
    whichever way round those are.

    Raises:
        ValueError: its own are asked for and it has none.
    """
    own = {direction.name: list(direction.vector) for direction in model.directions}
    if directions == "model":
        if not own:
            raise ValueError(f"{model.name} has no directions. Track the axes of its code instead.")
        return own
    axes = axis_vectors(model.networks.config.latent_dim)
    for slider, vector in own.items():
        both_ways = (vector, [-value for value in vector])
        matching = [name for name, axis in axes.items() if axis in both_ways]
        if matching and slider not in axes:
            axes = {slider if name == matching[0] else name: axis for name, axis in axes.items()}
    return axes


def model_paths(model: EditableModel, directions: str) -> dict[str, CodePath]:
    """The paths of the model's own bent directions, by name; axes are straight."""
    if directions != "model":
        return {}
    return {
        direction.name: direction.path
        for direction in model.directions
        if direction.path is not None
    }


def _check_draws_images(model: EditableModel) -> None:
    channels = model.networks.config.in_channels
    if channels not in (1, 3):
        raise ValueError(
            f"{model.name} draws {channels} channels, not images. "
            "Content tracking needs a model of grey or colour images."
        )


def _check_differ(images: Tensor) -> None:
    """Raises ValueError where there is no variance that a code could explain."""
    if len(images) > 1 and bool((images == images[:1]).all()):
        raise ValueError(
            f"The {len(images)} images that coverage is measured on are all the same. "
            "Give images that differ."
        )


def _as_tensor(images: Images, chosen: list[int]) -> Tensor:
    """The chosen images as float32 (n, C, S, S) in [-1, 1], on the CPU as drawn codes are."""
    if isinstance(images, Tensor):
        picked = images[chosen].cpu()
    else:
        picked = torch.from_numpy(np.ascontiguousarray(images[chosen]))
    if picked.dtype == torch.uint8 and picked.dim() == 4:
        return from_pixels(picked)
    if picked.is_floating_point():
        return picked.float()
    raise ValueError(
        f"The images are {images.dtype} of shape {tuple(images.shape)}. "
        "Give uint8 (n, S, S, C), or floats (n, C, S, S) in [-1, 1]."
    )
