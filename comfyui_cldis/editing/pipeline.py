"""The five verbs: encode, edit, traverse, interpolate, decode (and preview).

Computations run on the device and in the dtype of the model's networks, but for an exception in
`preview`; latents and images are float32 on the device of what was passed in. Nothing passed in is
changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import SupportsFloat, SupportsIndex

import torch
from torch import Tensor

from ..diffusion.denoiser import Denoiser
from ..diffusion.noise import Seed, gaussian_noise
from ..diffusion.samplers import (
    EDIT_SAMPLER,
    INVERSIONS,
    SAMPLERS,
    OnStep,
    Step,
    check_inversion,
    invert,
    sample,
)
from ..model.build import copilot_of
from ..warning import AmountWarning
from .direction import Direction, apply_directions, as_number, check_amount
from .editable import EditableModel
from .framing import Origin
from .latent import Latent, Source, are_of_one_model, slerp

__all__ = [
    "INVERSIONS",
    "SAMPLERS",
    "NotFiniteError",
    "Step",
    "decode",
    "edit",
    "encode",
    "interpolate",
    "preview",
    "traverse",
]


LESS_OR_ANOTHER = "Edit by less, or use another model."


class NotFiniteError(ValueError):
    """What a model computed holds NaN or infinite values.

    Attributes:
        fact: the first sentence.
        is_short: whether the networks compute in a type that overflows sooner than float32.
    """

    def __init__(self, model: EditableModel, what: str, remedy: str) -> None:
        dtype = model.networks.dtype
        self.is_short = dtype == torch.float16
        held = f"{what} of {model.name} hold NaN or infinite values"
        if self.is_short:
            self.fact = f"Numbers overflowed in float16: {held}."
            super().__init__(f"{self.fact} Load the model in float32.")
            return
        self.fact = f"In {str(dtype).removeprefix('torch.')} {held}."
        super().__init__(f"{self.fact} {remedy}")


def denoiser_for(model: EditableModel, z: Tensor, residual: Tensor | None) -> Denoiser:
    """The model's U-Net with the code fixed, as a denoiser on the networks' device."""
    networks = model.networks

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        return networks.predict(x_t, t, z, residual)

    return denoise


def check_code(model: EditableModel, latent: Latent) -> None:
    """Raises ValueError when the latent's code cannot be one of this model."""
    expected = model.networks.config.latent_dim
    if latent.z.shape[1] != expected:
        raise ValueError(
            f"The latent has {latent.z.shape[1]} scalars but {model.name} has {expected}. Encode "
            "the image with the same model."
        )
    if not are_of_one_model(latent.fingerprint, model.fingerprint):
        raise ValueError(
            f"The latent comes from another model than {model.name}. Encode the image with the "
            "same model."
        )


@torch.no_grad()
def encode(
    model: EditableModel,
    images: Tensor,
    *,
    inversion: str = EDIT_SAMPLER,
    inversion_steps: int = 20,
    origins: tuple[Origin, ...] = (),
    originals: Sequence[Tensor] = (),
    on_step: OnStep | None = None,
) -> Latent:
    """Code z and noise map x_T of images.

    Args:
        images: (B, C, S, S) in [-1, 1] at the model's size (see `framing.frame`).
        inversion: one of INVERSIONS; that of the sampler which will draw the latent.
        inversion_steps: steps of the deterministic inversion; 0 leaves x_T out.
        origins: sizes the images had, carried along in the latent.
        originals: pixels of the images that they were framed from, as `Source.pixels`, one for
            each; the latent keeps them.
        on_step: progress of the inversion; an exception raised in it cancels.

    Raises:
        TypeError: a number of steps that is no whole number.
        NotFiniteError: the networks overflow.
        ValueError: wrong shape, values that are not finite, an unknown inversion, or too many or
            too few steps.
    """
    config = model.networks.config
    expected = (config.in_channels, config.image_size, config.image_size)
    if images.dim() != 4 or tuple(images.shape[1:]) != expected:
        raise ValueError(
            f"The images have shape {tuple(images.shape)}; {model.name} needs "
            f"(B, {', '.join(map(str, expected))}). Frame them to the model's size first."
        )
    if not len(images):
        raise ValueError("The batch of images is empty. Give at least one.")
    if not bool(torch.isfinite(images).all()):
        raise ValueError(
            "The images contain NaN or infinite values. Repair the node or file they come from."
        )
    if not isinstance(inversion_steps, SupportsIndex):
        raise TypeError(f"inversion_steps is {inversion_steps!r}. Give a whole number.")
    check_inversion(inversion)
    if inversion_steps < 0:
        raise ValueError(f"inversion_steps is {inversion_steps}. Use 0 (no x_T) or more.")
    device = images.device
    x0 = images.float().to(model.networks.device)
    posterior = model.networks.encode_semantic(x0)
    _check_finite(model, "the codes", posterior.mu, posterior.residual)
    x_T = None
    if inversion_steps:
        denoiser = denoiser_for(model, posterior.mu, posterior.residual)
        x_T = invert(
            denoiser,
            x0,
            model.schedule,
            inversion=inversion,
            num_steps=inversion_steps,
            on_step=on_step,
        )
        _check_finite(model, "the noise maps", x_T)
        x_T = x_T.to(device)
    z = posterior.mu.to(device)
    return Latent(
        z=z,
        x_T=x_T,
        residual=None if posterior.residual is None else posterior.residual.to(device),
        origins=origins,
        sources=tuple(Source(pixels, code) for pixels, code in zip(originals, z, strict=True))
        if originals
        else (),
        fingerprint=model.fingerprint,
    )


def edit(
    model: EditableModel,
    latent: Latent,
    edits: Mapping[str, SupportsFloat] | Sequence[Mapping[str, SupportsFloat]],
) -> Latent:
    """Move along named directions; amounts in latent standard deviations, 0 changes nothing.

    Amounts are numbers of Python, NumPy or torch. One beyond `LIMIT` times the range of its
    direction is applied as that limit, with an `AmountWarning`.

    Args:
        edits: direction name -> amount, for all items; or a sequence of such mappings, one for
            each item.

    Raises:
        TypeError: edits that are no mapping, or no sequence of mappings.
        ValueError: unknown direction, an amount that is not a finite number, another number of
            mappings than of items, or a latent of another model.
    """
    check_code(model, latent)
    if isinstance(edits, Mapping):
        return latent.with_z(_moved(model, latent.z, edits))
    if not isinstance(edits, Sequence) or not all(isinstance(each, Mapping) for each in edits):
        raise TypeError(
            f"The edits are a {type(edits).__name__}. Give a mapping such as {{'name': 1.5}}, or "
            "a list with one for each image."
        )
    if len(edits) != len(latent):
        raise ValueError(
            f"There are edits for {len(edits)} images and {len(latent)} in the latent. Give one "
            "mapping for all, or one for each."
        )
    moved = [latent.z[:0]]
    for z, each in zip(latent.z.split(1), edits, strict=True):
        moved.append(_moved(model, z, each))
    return latent.with_z(torch.cat(moved))


def _moved(model: EditableModel, z: Tensor, edits: Mapping[str, SupportsFloat]) -> Tensor:
    """Codes (B, N) with edits, and an `AmountWarning` for each amount that is limited."""
    chosen: dict[str, Direction] = {}  # by the name of the slider that is moved
    amounts: dict[str, float] = {}
    for name, given in edits.items():
        direction, amount = model.direction(name), check_amount(name, given)
        limited = direction.limited(amount)
        if limited != amount:
            warnings.warn(direction.beyond_range(amount), AmountWarning, stacklevel=3)
        slider = model.slider(name).name
        if slider in chosen:
            raise ValueError(
                f"The direction '{slider}' is given twice, once as '{chosen[slider].name}' and "
                f"once as '{direction.name}'. Keep one of them."
            )
        chosen[slider], amounts[direction.name] = direction, limited
    ordered = [chosen[each.name] for each in model.directions if each.name in chosen]
    return apply_directions(z, model.statistics.std, ordered, amounts)


def traverse(
    model: EditableModel, latent: Latent, name: str, amounts: Sequence[SupportsFloat] | Tensor
) -> Latent:
    """Each item at each of K amounts along one direction: (B) -> (B * K), item-major.

    Args:
        amounts: K numbers, as `edit` takes them; an array or a tensor (K,) is as good as a list.

    Raises:
        TypeError: a single amount.
        ValueError: unknown direction, no amounts, or one that is not finite.
    """
    if as_number(amounts) is not None and not getattr(amounts, "shape", ()):
        raise TypeError(f"The amounts are {amounts!r}. Give a list of numbers.")
    if not len(amounts):
        raise ValueError("There are no amounts to traverse. Give at least one.")
    steps = [edit(model, latent, {name: amount}).z for amount in amounts]
    z = torch.stack(steps, dim=1).flatten(0, 1)  # K x (B, N) -> (B, K, N) -> (B * K, N)
    return latent.repeat(len(amounts)).with_z(z)


def interpolate(first: Latent, second: Latent, fraction: SupportsFloat) -> Latent:
    """Between two latents: straight in z and the residual code, spherical in x_T.

    A latent without a residual code counts as one of zeros, which is what the networks take for
    it and what training drops it to. The origins are those of `first`; in between there are no
    sources.

    Args:
        fraction: in [0, 1]; 0 gives `first` itself and 1 `second`.

    Raises:
        ValueError: different shapes or models, or a fraction that is no number in [0, 1].

    Source: Preechakul et al. 2022, section 4.1.
    """
    share = as_number(fraction)
    if share is None or not 0 <= share <= 1:
        raise ValueError(f"The fraction is {fraction!r}. Give a number from 0 to 1.")
    if first.z.shape != second.z.shape:
        raise ValueError(
            f"The latents have shapes {tuple(first.z.shape)} and {tuple(second.z.shape)}. "
            "Encode both with the same model and batch size."
        )
    if not are_of_one_model(first.fingerprint, second.fingerprint):
        raise ValueError("The latents come from different models. Encode both with the same model.")
    if (first.x_T is None) != (second.x_T is None):
        raise ValueError("Only one of the latents has an x_T. Encode both with inversion steps.")
    for name in ("x_T", "residual"):
        a, b = getattr(first, name), getattr(second, name)
        if a is not None and b is not None and a.shape != b.shape:
            raise ValueError(
                f"The latents have {name} of shapes {tuple(a.shape)} and {tuple(b.shape)}. "
                "Encode both with the same model."
            )
    if share in (0, 1):
        return second if share else first
    x_T = residual = None
    if first.x_T is not None and second.x_T is not None:
        x_T = slerp(first.x_T, second.x_T, share)
    given = first.residual if second.residual is None else second.residual
    if given is not None:
        zeros = torch.zeros_like(given)
        start = zeros if first.residual is None else first.residual
        residual = torch.lerp(start, zeros if second.residual is None else second.residual, share)
    return Latent(
        torch.lerp(first.z, second.z, share),
        x_T,
        residual,
        first.origins,
        fingerprint=first.fingerprint or second.fingerprint,
    )


@torch.no_grad()
def decode(
    model: EditableModel,
    latent: Latent,
    *,
    sampler: str = EDIT_SAMPLER,
    num_steps: int = 20,
    seed: Seed | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Draw the images of a latent.

    Args:
        sampler: one of SAMPLERS.
        num_steps: sampling steps; use the number of inversion steps to get the image back.
        seed: None starts from the latent's own x_T; a number starts from fresh noise, item b
            from seed + b; or one for each item.
        on_step: progress; an exception raised in it cancels.

    Returns:
        (B, C, S, S) float32 in [-1, 1], on the device of the latent.

    Raises:
        NotFiniteError: the networks overflow.
        TypeError: a seed or a number of steps that is no whole number.
        ValueError: the latent has no x_T and no seed is given, it is of another model, or bad
            sampler settings.
    """
    check_code(model, latent)
    config = model.networks.config
    device = latent.z.device
    shape = (len(latent), config.in_channels, config.image_size, config.image_size)
    if seed is not None:
        x_T = gaussian_noise(shape, seed)
    elif latent.x_T is not None:
        x_T = latent.x_T
        if tuple(x_T.shape) != shape:
            raise ValueError(
                f"The noise map has shape {tuple(x_T.shape)}, which does not fit {model.name}. "
                "Encode and decode with the same model."
            )
    else:
        raise ValueError(
            "The latent has no inverted x_T. Encode with inversion steps above 0, "
            "or decode from a seed."
        )
    target = model.networks.device
    residual = None if latent.residual is None else latent.residual.to(target)
    denoiser = denoiser_for(model, latent.z.to(target), residual)
    images = sample(
        denoiser,
        x_T.float().to(target),
        model.schedule,
        sampler=sampler,
        num_steps=num_steps,
        on_step=on_step,
    )
    _check_finite(model, "the images", images, remedy=LESS_OR_ANOTHER)
    return images.clamp(-1, 1).to(device)


@torch.no_grad()
def preview(model: EditableModel, latent: Latent) -> Tensor:
    """A blurry image of the code in one cheap forward of the co-pilot's decoder.

    On a CPU, where weights may also lie while a GPU is full, float16 takes many times as long as
    float32 and the copying of so few weights little, so there they draw in float32.

    Returns:
        (B, C, S, S) float32 in [-1, 1], on the device of the latent.

    Raises:
        NoCopilotError: an imported model, which has no co-pilot.
        NotFiniteError: the co-pilot overflows.
        ValueError: a latent of another model.
    """
    check_code(model, latent)
    networks = model.networks
    copilot, dtype = copilot_of(networks), networks.dtype
    if networks.device.type == "cpu" and dtype == torch.float16:
        copilot, dtype = deepcopy(copilot).float(), torch.float32
    image = copilot.decode(latent.z.to(networks.device, dtype)).float()
    _check_finite(model, "the previews", image, remedy=LESS_OR_ANOTHER)
    size = networks.config.image_size
    if image.shape[-1] != size:
        image = torch.nn.functional.interpolate(image, size=(size, size), mode="bilinear")
    return image.clamp(-1, 1).to(latent.z.device)


def _check_finite(
    model: EditableModel, what: str, *tensors: Tensor | None, remedy: str = "Use another model."
) -> None:
    """Raises NotFiniteError unless all values are finite: what is drawn from others would look
    like no edit at all."""
    if not all(bool(torch.isfinite(each).all()) for each in tensors if each is not None):
        raise NotFiniteError(model, what, remedy)
