"""Models and images as the commands take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    """Reads an image at the model's size, (1, C, S, S), with what brings it back."""
    from ..editing.framing import frame
    from ..picture import read_image

    config = model.networks.config
    if config.in_channels not in (1, 3):
        raise ValueError(
            f"This model works on image latents with {config.in_channels} channels, not on "
            "images. Choose a model with 1 or 3 channels."
        )
    return frame(read_image(path, config.in_channels), config.image_size, rule)
