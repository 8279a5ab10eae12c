"""Models and images as the commands take them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import complain

if TYPE_CHECKING:
    from torch import Tensor

    from ..editing.editable import EditableModel
    from ..editing.framing import Box
    from ..editing.latent import Latent
    from ..imaging.photograph import Photograph


def load_model(path: Path | None, device: str, *, is_quiet: bool = False) -> EditableModel:
    """Reads a model, or the demo model.

    Args:
        is_quiet: leave out the line on stderr that says why its directions are no sliders.
    """
    import torch

    from ..checkpoint import demo_model_path, load_checkpoint
    from ..editing.verdict import no_sliders_text

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, but no CUDA device is there. Use --device cpu.")
    model = load_checkpoint(path or demo_model_path())
    if not is_quiet and model.directions and (text := no_sliders_text(model)):
        complain(f"Note: {text}")
    model.networks.to(device)
    return model


def open_photograph(model: EditableModel, path: Path, output: Path | None = None) -> Photograph:
    """Reads an image to be edited.

    Args:
        output: where it will be written; what of it cannot be kept there, a line on stderr says.
    """
    from ..imaging.photograph import read_photograph

    config = model.networks.config
    if config.in_channels not in (1, 3):
        raise ValueError(
            f"This model works on image latents with {config.in_channels} channels, not on "
            "images. Choose a model with 1 or 3 channels."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which do not count
        photograph = read_photograph(path, config.in_channels)
    height, width = photograph.pixels.shape[1:]
    if (width, height) != (photograph.width, photograph.height):
        complain(
            f"Note: {path.name} has {photograph.width} x {photograph.height} pixels; it is read, "
            f"and results are written, at {width} x {height}."
        )
    lost = "" if output is None else photograph.lost_in(output)
    if lost:
        complain(f"Note: of {path.name}, this is not kept: {lost}.")
    return photograph


def framed(model: EditableModel, path: Path) -> Tensor:
    """Reads an image at the model's size, (1, C, S, S) in [-1, 1], made square as in training."""
    from ..editing.original import frame_original

    config, rule = model.networks.config, model.facts.training.resize
    pixels = open_photograph(model, path).pixels
    return frame_original(pixels, config.in_channels, config.image_size, rule)[0]


def encoded(
    model: EditableModel, pixels: Tensor, rule: str, box: Box | None, longest: int | None = None
) -> Latent:
    """The latent, without a noise map, of one original.

    Args:
        pixels: (C, H, W) uint8, as `Photograph.pixels`.
        longest: side in pixels of the square that takes the original's place where it is larger;
            None: the original itself.
    """
    import torch

    from ..editing.familiar import warn_of_unfamiliar
    from ..editing.original import frame_original
    from ..editing.pipeline import encode

    config = model.networks.config
    square, origin = frame_original(pixels, config.in_channels, config.image_size, rule, box)
    warn_of_unfamiliar(model, square)
    if longest is not None:
        side = min(longest, max(origin.square.width, origin.square.height, config.image_size))
        smaller, _ = frame_original(pixels, config.in_channels, side, rule, box)
        pixels = smaller[0].add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        origin = replace(origin, height=side, width=side, rule="crop", box=None)
    return encode(model, square, inversion_steps=0, origins=(origin,), originals=(pixels,))
