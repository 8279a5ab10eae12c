"""A model as one object: the verbs of `editing.pipeline` on images of every form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..checkpoint import demo_image_paths, demo_model_path, load_checkpoint, read_header
from ..checkpoint.header import Header
from ..checkpoint.summary import as_json
from ..diffusion.samplers import EDIT_SAMPLER, OnStep
from ..editing import pipeline
from ..editing.changes import Method
from ..editing.direction import Direction, as_number
from ..editing.easing import Easing
from ..editing.editable import EditableModel
from ..editing.familiar import warn_of_unfamiliar
from ..editing.framing import Box, unframed_size
from ..editing.keyframes import amounts_at_frames, keyframes_from
from ..editing.latent import Latent
from ..editing.morph import morph
from ..editing.render import Size, TrackedPreview, enlarged, pixels_of, render
from ..editing.sampling import NUM_STEPS, SAMPLER, TRUNCATION
from ..editing.sampling import sample_images as draw_samples
from ..editing.transfer import transfer
from .images import (
    ImageInput,
    ImageOutput,
    MaskInput,
    as_mask,
    check_output,
    read_framed,
    write,
)

SeedInput: TypeAlias = "int | Sequence[int] | np.ndarray | Tensor"

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_model(
    path: str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
) -> Model:
    """Open a model file.

    Args:
        path: a .safetensors file; None: the bundled demo model of 64-pixel heads.
        device: where it runs: "auto" (CUDA if there is one, else the CPU), or a device of torch.
        dtype: of the weights: "float32", "float16" or "bfloat16", or those of torch. The short
            ones halve the memory and follow the original less exactly.

    Raises:
        CheckpointError: a ValueError; no CL-Dis model, damaged, or of another version.
        FileNotFoundError: there is no such file.
        ValueError: a device that is not there or holds no values, or another dtype.
    """
    chosen = _device(device)
    weights = DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if not isinstance(weights, torch.dtype) or weights not in DTYPES.values():
        raise ValueError(f"dtype is {dtype!r}. Use one of {', '.join(DTYPES)}.")
    file = demo_model_path() if path is None else Path(path)
    header = read_header(file)
    editable = load_checkpoint(file, dtype=weights)
    editable.networks.to(chosen)
    return Model(editable, header)


def sample_images() -> list[Path]:
    """The heads bundled with the demo model, which it was not trained on: paths, for `encode`.

    Raises: FileNotFoundError when this installation came without them.
    """
    return demo_image_paths()


class Model:
    """A model with its directions. `load_model` makes one.

    Attributes:
        editable: the model as `comfyui_cldis.editing` takes it, for what is not offered here.
    """

    def __init__(self, editable: EditableModel, header: Header) -> None:
        self.editable = editable
        self._header = header

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self.directions) or "none"
        return f"<CL-Dis model {self.name!r}, {self.image_size} pixels, directions: {names}>"

    @property
    def name(self) -> str:
        return self.editable.name

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that the model works on."""
        return self.editable.networks.config.image_size

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey."""
        return self.editable.networks.config.in_channels

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Its sliders, strongest first; `minimum` and `maximum` are amounts seen in training."""
        return self.editable.directions

    def info(self) -> dict[str, Any]:
        """What the file says of itself, JSON-able: as `cldis info --json` prints it."""
        return as_json(self._header)

    def encode(
        self,
        images: ImageInput,
        *,
        resize: str = "crop",
        crop: tuple[int, int, int, int] | None = None,
        inversion: str = EDIT_SAMPLER,
        inversion_steps: int = 20,
        on_step: OnStep | None = None,
    ) -> Latent:
        """The latent of one image or many, one item for each, in order.

        Args:
            images: a path, PIL image, numpy array (H, W), (H, W, C) or (B, H, W, C), torch tensor
                (H, W), (C, H, W) or (B, C, H, W), or a list of these. Arrays and tensors hold
                uint8 from 0 to 255, or floating point from 0 to 1; C is 1 to 4, the 2nd of 2 and
                the 4th of 4 being alpha. Any size.
            resize: how an image that is not square fits: "crop" takes its central square, "pad"
                repeats its edge, "stretch" ignores the aspect ratio.
            crop: (left, top, width, height) in pixels: the part of each image that is edited, as
                if it were the image; None: the whole.
            inversion: "ddim_2m", or "ddim" for the sampler "ddim".
            inversion_steps: steps towards the noise map from which the decoder draws just these
                images; 0: without, and `decode` finds it where it needs one.
            on_step: called with each step (index, total, x0); what it raises cancels.

        Returns:
            B items, on the device of the first tensor among `images` or else the CPU. They keep
            the images. With an `UnfamiliarImageWarning` where an image is unlike those that the
            model was trained on.

        Raises:
            TypeError: something that is no image.
            FileNotFoundError: a path that leads nowhere.
            ValueError: no images, a file that cannot be read, other shapes, dtypes or values than
                those above, or a bad option.
        """
        if self.channels not in (1, 3):
            raise ValueError(
                f"{self.name} works on image latents with {self.channels} channels, not on "
                "images. Choose a model with 1 or 3 channels."
            )
        box = None if crop is None else _box(crop)
        framed = read_framed(images, self.image_size, self.channels, resize, box)
        warn_of_unfamiliar(self.editable, framed.squares)
        return pipeline.encode(
            self.editable,
            framed.squares,
            inversion=inversion,
            inversion_steps=inversion_steps,
            origins=framed.origins,
            originals=framed.originals,
            on_step=on_step,
        )

    def edit(
        self, latent: Latent, edits: Mapping[str, float] | Sequence[Mapping[str, float]]
    ) -> Latent:
        """Move every item along the directions named, by amounts in standard deviations.

        Amounts add up over several edits (not along a direction with a `path`); 0 changes nothing.

        Args:
            edits: name -> amount, for all items, or a list of such mappings, one for each.

        Raises:
            ValueError: a name that is no direction of this model, an amount that is no finite
                number, or a list of another length than the latent.
        """
        return pipeline.edit(self.editable, _checked(latent), edits)

    def traverse(self, latent: Latent, name: str, amounts: Sequence[float]) -> Latent:
        """Each of B items at each of K amounts: B * K items, those of the first item first.

        Raises:
            ValueError: as `edit`, or no amounts.
        """
        return pipeline.traverse(self.editable, _checked(latent), name, amounts)

    def interpolate(
        self, first: Latent, second: Latent, fraction: float | Sequence[float]
    ) -> Latent:
        """Between two latents: 0 gives `first`, 1 gives `second`.

        Where both keep their images, `decode` morphs them at the first one's size: both are edited
        to the code between them, and one fades into the other.

        Args:
            first, second: of as many items, or one of them of a single one.
            fraction: from 0 to 1, or K of them.

        Returns:
            As many items, or K for each, those of the first item first.

        Raises:
            ValueError: latents that do not fit each other, or a fraction not from 0 to 1.
        """
        given: Any = fraction
        is_one = isinstance(given, str) or as_number(given) is not None
        fractions: list[Any] = [given] if is_one else list(given)
        return morph(_checked(first), _checked(second), fractions)

    def transfer(
        self,
        latent: Latent,
        reference: Latent,
        names: Sequence[str] = (),
        *,
        strength: float = 1.0,
    ) -> Latent:
        """Moves items along directions until they lie where the reference does on them.

        Args:
            reference: one item for all, or one for each.
            names: of directions, solved together by least squares; none: all of the model.
            strength: 0 to 2, share of the way; 0 changes nothing.

        Raises:
            ValueError: a name that is no direction of this model, latents that do not fit each
                other, or a strength out of range.
        """
        return transfer(self.editable, _checked(latent), _checked(reference), names, strength)

    def animate(
        self,
        latent: Latent,
        keyframes: Mapping[int, Mapping[str, float]],
        *,
        frames: int = 0,
        easing: Easing = "linear",
        loop: bool = False,
    ) -> Latent:
        """Each item at each frame of an animation, on top of the edits it has.

        Args:
            keyframes: number of a frame, from 0 -> the edits there, as `edit` takes them; a
                direction that one does not name is 0 there.
            frames: how many there are; 0: until the last keyframe, and in a loop back again.
            easing: from keyframe to keyframe: "linear", or "smooth", which starts and ends slowly.
            loop: go back from the last keyframe to the first, which comes again after the end.

        Returns:
            All frames of the first item, then those of the next.

        Raises:
            TypeError: keyframes that are no mapping.
            ValueError: as `edit`, no keyframes, or a frame out of range.
        """
        if not isinstance(keyframes, Mapping):
            raise TypeError(
                f"The keyframes are a {type(keyframes).__name__}. Give a mapping such as "
                "{0: {}, 12: {'name': 1.5}}, from the number of a frame to the edits there."
            )
        found = keyframes_from(
            [{"frame": frame, "edits": edits} for frame, edits in keyframes.items()]
        )
        amounts = amounts_at_frames(found, frames, easing=easing, loop=loop)
        walk = _checked(latent).repeat(len(amounts))
        return pipeline.edit(self.editable, walk, amounts * len(latent))

    def sample(
        self,
        count: int = 1,
        *,
        seed: int = 0,
        truncation: float = TRUNCATION,
        sampler: str = SAMPLER,
        num_steps: int = NUM_STEPS,
        on_step: OnStep | None = None,
    ) -> Latent:
        """New images at the model's size, which can be edited like encoded ones.

        Args:
            count: how many; item b depends on seed + b alone.
            truncation: 0 to 1.5; 0: all of the mean code; 1: as varied as in training.
            sampler, num_steps: of the decoder.
            on_step: called with each step (index, total, x0); what it raises cancels.

        Raises:
            ValueError: a number out of range, bad sampler settings, or an imported model whose
                statistics are not known.
        """
        return draw_samples(
            self.editable,
            count,
            seed,
            truncation=truncation,
            sampler=sampler,
            num_steps=num_steps,
            on_step=on_step,
        )

    @overload
    def decode(
        self,
        latent: Latent,
        *,
        output: Literal["pil"] = "pil",
        size: Size = "original",
        method: Method = "auto",
        strength: float = 1.0,
        mask: MaskInput | None = None,
        sampler: str = EDIT_SAMPLER,
        num_steps: int = 20,
        seed: SeedInput | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]: ...
    @overload
    def decode(
        self,
        latent: Latent,
        *,
        output: Literal["numpy"],
        size: Size = "original",
        method: Method = "auto",
        strength: float = 1.0,
        mask: MaskInput | None = None,
        sampler: str = EDIT_SAMPLER,
        num_steps: int = 20,
        seed: SeedInput | None = None,
        on_step: OnStep | None = None,
    ) -> np.ndarray: ...
    @overload
    def decode(
        self,
        latent: Latent,
        *,
        output: Literal["torch"],
        size: Size = "original",
        method: Method = "auto",
        strength: float = 1.0,
        mask: MaskInput | None = None,
        sampler: str = EDIT_SAMPLER,
        num_steps: int = 20,
        seed: SeedInput | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor: ...
    def decode(
        self,
        latent: Latent,
        *,
        output: str = "pil",
        size: str = "original",
        method: str = "auto",
        strength: float = 1.0,
        mask: MaskInput | None = None,
        sampler: str = EDIT_SAMPLER,
        num_steps: int = 20,
        seed: SeedInput | None = None,
        on_step: OnStep | None = None,
    ) -> ImageOutput:
        """The images of a latent.

        What was encoded from images comes back as these images with the edit in them: all that
        does not change keeps its pixels exactly.

        Args:
            output: "pil", a list of images; "numpy", float32 (B, H, W, C) from 0 to 1; "torch",
                float32 (B, C, H, W) from 0 to 1.
            size: "original", that of the encoded images; "model", the square of `image_size`.
            method: "tracked" carries the edit that the co-pilot previews show to the images, at
                once; "decoded" that which the diffusion decoder draws; "auto" is tracked, and
                decoded where content appears or the previews cannot be trusted.
            strength: 0 to 1, share of the edit; half of it moves content half as far.
            mask: share of the edit at each pixel, white where it acts: a path, a PIL image, or an
                array or tensor (H, W), of bool too, as large as the images.
            sampler: one of `diffusion.samplers.SAMPLERS`; "ddim_2m" and "ddim" retrace an inversion
                of the same name. Up to 12 steps "ddim" is closer to the image.
            num_steps: of the decoder; as many as `inversion_steps` gives the image back.
            seed: None keeps the latent's own noise map, and gives the same image every time; a
                number draws all of the square anew from fresh noise, item b from seed + b; a list,
                array or tensor has one for each item.
            on_step: called with each step (index, total, x0); what it raises cancels.

        Raises:
            TypeError: a seed or a number of steps that is no whole number.
            ValueError: a latent of another model, or without a noise map, a seed and images; bad
                options; images of several sizes where one array is wanted.
        """
        check_output(output, size, _sizes(_checked(latent)) or _drawn_sizes(latent))
        images = render(
            self.editable,
            latent,
            method=method,
            size=size,
            strength=strength,
            mask=None if mask is None else as_mask(mask, _sizes(latent)),
            sampler=sampler,
            num_steps=num_steps,
            seed=seed.tolist() if isinstance(seed, np.ndarray | Tensor) else seed,
            on_step=on_step,
        )
        return write(images, output)

    def tracked_preview(self, latent: Latent, longest: int | None = 1024) -> TrackedPreview:
        """Something that draws edits of these images over and over, within milliseconds.

        Args:
            latent: as `encode` gave it, edited or not.
            longest: pixels of the longer side that its images have at most; None: no limit.

        Raises:
            ValueError: a latent without its images, or of another model; or `longest` below 1.
        """
        return TrackedPreview(self.editable, _checked(latent), longest)

    @overload
    def preview(
        self, latent: Latent, *, output: Literal["pil"] = "pil", size: Size = "original"
    ) -> list[Image.Image]: ...
    @overload
    def preview(
        self, latent: Latent, *, output: Literal["numpy"], size: Size = "original"
    ) -> np.ndarray: ...
    @overload
    def preview(
        self, latent: Latent, *, output: Literal["torch"], size: Size = "original"
    ) -> Tensor: ...
    def preview(
        self, latent: Latent, *, output: str = "pil", size: str = "original"
    ) -> ImageOutput:
        """Blurred images of the code alone, as the co-pilot draws them: the squares, without the
        images they came from. Options as for `decode`."""
        check_output(output, size, _drawn_sizes(_checked(latent)))
        drawn = enlarged(pipeline.preview(self.editable, latent), latent.origins, size)
        return write([pixels_of(image) for image in drawn], output)


def _checked(latent: Latent) -> Latent:
    if not isinstance(latent, Latent):
        raise TypeError(
            f"The latent is a {type(latent).__name__}. Give one that `encode` returned."
        )
    return latent


def _drawn_sizes(latent: Latent) -> list[tuple[int, int]]:
    """Height and width of images that are drawn at the size of their origins."""
    return [unframed_size(origin) for origin in latent.origins]


def _sizes(latent: Latent) -> list[tuple[int, int]]:
    """Height and width of the images that a latent keeps."""
    return [(source.pixels.shape[1], source.pixels.shape[2]) for source in latent.sources]


def _box(crop: Sequence[int]) -> Box:
    try:
        left, top, width, height = map(index, crop)
    except (TypeError, ValueError) as error:  # not four of them, or no whole numbers
        raise ValueError(
            f"crop is {crop!r}. Give (left, top, width, height) in whole pixels."
        ) from error
    return Box(left, top, width, height)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device is {device!r}. Use 'auto', 'cpu' or 'cuda'.") from error
    if chosen.type == "meta":
        raise ValueError(f"device is {device!r}, which holds no values. Use 'auto' or 'cpu'.")
    missing = f"device is {device!r}, but there is no such device. Use 'cpu'."
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(missing)
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, ImportError) as error:  # by the kind of device
        raise ValueError(missing) from error
    return chosen
