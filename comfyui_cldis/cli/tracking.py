"""What `cldis track` adds to the score: images from a folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from ..editing.framing import frame
from ..imaging.limits import ENDINGS
from ..imaging.reading import read_image
from ..imaging.tensors import to_tensor
from ..tracking import TrackingSettings
from ..wording import counted


def read_folder(
    folder: Path,
    image_size: int,
    channels: int,
    settings: TrackingSettings,
    seed: int,
    resize: str = "crop",
) -> Tensor:
    """As many images of a folder as the score needs, drawn by the seed, at the model's size.

    Args:
        resize: one of `framing.RESIZE_RULES`.

    Returns:
        (n, channels, image_size, image_size) in [-1, 1].

    Raises:
        FileNotFoundError, ValueError: no such folder, fewer than two images in it, or one that
            cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Name a folder of images for --data.")
    paths = sorted(path for path in folder.rglob("*") if _is_image(path.relative_to(folder)))
    if len(paths) < 2:
        raise ValueError(
            f"{folder} holds {counted(len(paths), 'image')} ({', '.join(ENDINGS)}). "
            f"Content tracking needs at least 2, better {settings.num_coverage}."
        )
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = order[: max(settings.num_bases, settings.num_coverage)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which do not count
        images = (to_tensor(read_image(paths[at], channels).image) for at in chosen)
        return torch.cat([frame(image, image_size, resize)[0] for image in images])


def _is_image(path: Path) -> bool:
    """By the name alone; hidden files and folders are left out, as training leaves them out."""
    is_hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in ENDINGS and not is_hidden
