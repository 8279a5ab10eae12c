"""Images as people have them <-> pixels (B, C, H, W), uint8 or in [0, 1].

    input                           layout                           values
    path, PIL image                 any size, any mode               as the file says
    numpy array (uint8)             (H, W), (H, W, C), (B, H, W, C)  0 to 255
    numpy array (floating point)    the same                         0 to 1
    torch tensor (uint8)            (H, W), (C, H, W), (B, C, H, W)  0 to 255
    torch tensor (floating point)   the same                         0 to 1
    list or tuple of these          mixed kinds and sizes            as each

C is 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha). Alpha is laid over white, grey
becomes three equal channels, and a grey model reads the luma .299 R + .587 G + .114 B.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..editing.framing import Box, Origin
from ..editing.original import frame_original
from ..editing.render import SIZES
from ..imaging.mask import mask_of
from ..imaging.reading import convert_image, naming, read_image, read_stored, upright
from ..imaging.sheet import to_image
from ..imaging.tensors import image_pixels, in_model_range, to_model_channels

OneInput: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray | Tensor"
ImageInput: TypeAlias = "OneInput | Sequence[OneInput]"
MaskInput: TypeAlias = "OneInput"
ImageOutput: TypeAlias = "list[Image.Image] | np.ndarray | Tensor"

OUTPUTS = ("pil", "numpy", "torch")
ROUNDING = 1e-3  # how far outside 0 to 1 a value is taken for a rounding error, and clipped


@dataclass(frozen=True)
class Framed:
    """Images ready to be encoded, in order.

    Attributes:
        squares: (B, channels, size, size) float32 in [-1, 1], on the device of the first tensor
            among the images or else the CPU.
        origins: one for each.
        originals: (channels, H, W) uint8, or float32 in [0, 1], each of its own size, on the same
            device.
    """

    squares: Tensor
    origins: tuple[Origin, ...]
    originals: tuple[Tensor, ...]


def read_framed(
    images: ImageInput, size: int, channels: int, rule: str, box: Box | None = None
) -> Framed:
    """All images at the model's size.

    Args:
        images: see above.
        size, channels: of the model; channels is 3 or 1.
        rule: one of `framing.RESIZE_RULES`.
        box: the part of each that is framed; None: the whole.

    Raises:
        TypeError: something that is no image.
        FileNotFoundError: a path that leads nowhere.
        ValueError: none at all, a file that cannot be read, a layout, dtype or values other than
            those above, or a box that does not lie within each.
    """
    is_list = isinstance(images, list | tuple)
    items: Sequence[OneInput] = images if is_list else [images]  # type: ignore[assignment]
    squares: list[Tensor] = []
    origins: list[Origin] = []
    originals: list[Tensor] = []
    for index, item in enumerate(items):
        where = f"Item {index} of the list" if is_list else ""
        for pixels in _read(item, channels, where).split(1):
            square, origin = frame_original(pixels[0], channels, size, rule, box)
            squares.append(square)
            origins.append(origin)
            originals.append(pixels[0])
    if not squares:
        raise ValueError("There are no images. Give at least one.")
    devices = [item.device for item in items if isinstance(item, Tensor)]
    device = devices[0] if devices else torch.device("cpu")
    together = torch.cat([square.to(device) for square in squares])
    return Framed(together, tuple(origins), tuple(each.to(device) for each in originals))


def _read(item: OneInput, channels: int, where: str) -> Tensor:
    """One input as (B, channels, H, W), uint8 or float32 in [0, 1].

    Args:
        where: it stands in a list, for messages.
    """
    if isinstance(item, str | os.PathLike):
        return image_pixels(read_image(item, channels).image)
    if isinstance(item, Image.Image):
        return image_pixels(convert_image(item, where or "The image", channels))
    if isinstance(item, np.ndarray):
        name = where or "The array"
        batch = _as_batch(item, name, "(H, W), (H, W, C) or (B, H, W, C)", channel_axis=-1)
        _check_dtype(batch.dtype, batch.dtype == np.uint8, batch.dtype.kind == "f", name)
        if batch.dtype == np.uint8:
            return _from_bytes(batch, channels)
        values = torch.from_numpy(np.array(batch, dtype=np.float32))
        return _from_floats(values.movedim(-1, 1), channels, name)
    if isinstance(item, Tensor):
        name = where or "The tensor"
        batch = _as_batch(item.detach(), name, "(H, W), (C, H, W) or (B, C, H, W)", channel_axis=1)
        _check_dtype(batch.dtype, batch.dtype == torch.uint8, batch.is_floating_point(), name)
        if batch.dtype == torch.uint8:
            return _from_bytes(batch.movedim(1, -1).cpu().numpy(), channels)
        return _from_floats(batch.float(), channels, name)
    raise TypeError(
        f"{where or 'The input'} is a {type(item).__name__}, not an image. Give a path, a PIL "
        "image, a numpy array, a torch tensor, or a list of these."
    )


def _as_batch(array, name: str, layouts: str, *, channel_axis: int):
    """An array or tensor of 2, 3 or 4 axes with all four, the channels counted and not empty."""
    shape = tuple(array.shape)
    if len(shape) == 2:
        array = array[None, ..., None] if channel_axis == -1 else array[None, None]
    elif len(shape) == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[channel_axis] not in (1, 2, 3, 4):
        raise ValueError(f"{name} has shape {shape}. Give {layouts}, C from 1 to 4.")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {shape}, so there are no images in it. Give one.")
    return array


def _check_dtype(dtype: object, is_bytes: bool, is_floating_point: bool, name: str) -> None:
    if not is_bytes and not is_floating_point:
        raise ValueError(
            f"{name} holds {dtype}. Give uint8 from 0 to 255, or floating point from 0 to 1."
        )


def _from_bytes(batch: np.ndarray, channels: int) -> Tensor:
    """uint8 (B, H, W, C) -> uint8 (B, channels, H, W), by the very rules of image files."""
    pixels = batch[..., 0] if batch.shape[-1] == 1 else batch
    images = (convert_image(Image.fromarray(each), "The image", channels) for each in pixels)
    return torch.cat([image_pixels(image) for image in images])


def _from_floats(batch: Tensor, channels: int, name: str) -> Tensor:
    """float32 (B, C, H, W) in [0, 1] -> (B, channels, H, W), by the same rules unrounded."""
    if not bool(torch.isfinite(batch).all()):
        raise ValueError(f"{name} holds NaN or infinite values. Give values from 0 to 1.")
    low, high = float(batch.min()), float(batch.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        remedy = "Scale them, or give uint8."
        if low >= -1 - ROUNDING and high <= 1 + ROUNDING:
            remedy = "If -1 is black, give (x + 1) / 2."
        elif low >= 0 and high <= 255:
            remedy = "If 255 is white, give x / 255."
        raise ValueError(
            f"{name} holds values from {low:.4g} to {high:.4g}; in floating point, 0 is black "
            f"and 1 is white. {remedy}"
        )
    return to_model_channels(batch.clamp(0, 1), channels)


def check_output(output: str, size: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse, before anything is drawn, an output that images of these sizes cannot have.

    Args:
        sizes: height and width of each image where `size` is "original".

    Raises: ValueError.
    """
    for name, value, allowed in (("output", output, OUTPUTS), ("size", size, SIZES)):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}. Use one of {', '.join(allowed)}.")
    if output != "pil" and size == "original" and len(set(sizes)) > 1:
        raise ValueError(
            "The images have different sizes, so they do not fit into one array. "
            'Use size="model", or output="pil".'
        )


def write(images: Sequence[Tensor], output: str) -> ImageOutput:
    """(C, H, W) each, uint8 or float32 in [0, 1] -> what `output` names.

    Returns:
        "pil": a list of 8-bit images, "RGB", or "L" of a grey model; "numpy": float32
        (B, H, W, C) in [0, 1]; "torch": float32 (B, C, H, W) in [0, 1], on the device of the first.
    """
    if output == "pil":
        return [to_image(in_model_range(image)) for image in images]
    device = images[0].device
    values = torch.stack(
        [
            (image.float() / 255 if image.dtype == torch.uint8 else image).to(device)
            for image in images
        ]
    )
    return values if output == "torch" else values.movedim(1, -1).cpu().numpy()


def as_mask(mask: MaskInput, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """A mask as (1, H, W) float32 in [0, 1], of the size of the images.

    Args:
        mask: a path or PIL image, as `imaging.mask.read_mask` takes it (white: 1; transparency
            counts), or an array or tensor (H, W) as for images, or of bool.
        sizes: height and width of each image.

    Raises:
        TypeError, FileNotFoundError: as for images.
        ValueError: as for images, or another size than theirs.
    """
    if isinstance(mask, np.ndarray | Tensor) and mask.ndim != 2:
        raise ValueError(f"The mask has shape {tuple(mask.shape)}. Give (H, W).")
    if isinstance(mask, str | os.PathLike):
        values = _mask_of(read_stored(mask).image, Path(mask).name)
    elif isinstance(mask, Image.Image):
        with naming("The mask"):
            mask = upright(mask)
        values = _mask_of(mask, "The mask")
    else:
        values = _mask_of_numbers(mask)
    for height, width in sizes:
        if tuple(values.shape[1:]) != (height, width):
            raise ValueError(
                f"The mask has {values.shape[2]} x {values.shape[1]} pixels and the image "
                f"{width} x {height}. Make the mask as large as the image."
            )
    return values


def _mask_of(image: Image.Image, name: str) -> Tensor:
    """The mask that an upright image is."""
    with naming(name):
        return mask_of(image, image.width, image.height)


def _mask_of_numbers(mask: np.ndarray | Tensor) -> Tensor:
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
        mask = mask.astype(np.float32)
    elif isinstance(mask, Tensor) and mask.dtype == torch.bool:
        mask = mask.float()
    values = _read(mask, 1, "The mask")[0]
    return values.float() / 255 if values.dtype == torch.uint8 else values
