"""Models and images as the commands take them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import complain

if TYPE_CHECKING:
    from torch import Tensor

    from ..editing.editable import EditableModel
    from ..editing.framing import Origin


def load_model(path: Path | None, device: str) -> EditableModel:
    import torch

    from ..checkpoint import demo_model_path, load_checkpoint

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, but no CUDA device is there. Use --device cpu.")
    model = load_checkpoint(path or demo_model_path())
    model.networks.to(device)
    return model


def framed(model: EditableModel, path: Path, rule: str) -> tuple[Tensor, tuple[Origin, ...]]:
    """Reads an image at the model's size, (1, C, S, S), with what brings it back.

    One that is too large to be read at its own size comes back smaller, which a line on stderr
    says.
    """
    from ..editing.framing import frame
    from ..imaging.reading import read_image
    from ..imaging.tensors import to_tensor

    config = model.networks.config
    if config.in_channels not in (1, 3):
        raise ValueError(
            f"This model works on image latents with {config.in_channels} channels, not on "
            "images. Choose a model with 1 or 3 channels."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which do not count
        read = read_image(path, config.in_channels)
    if read.image.size != (read.width, read.height):
        complain(
            f"Note: {path.name} has {read.width} x {read.height} pixels; it is read, and results "
            f"are written, at {read.image.width} x {read.image.height}."
        )
    return frame(to_tensor(read.image), config.image_size, rule)
