"""What `cldis track` adds to the score: images from a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..editing.framing import frame
from ..picture import read_image
from ..tracking import TrackingSettings

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def read_folder(
    folder: Path, image_size: int, channels: int, settings: TrackingSettings, seed: int
) -> Tensor:
    """As many images of a folder as the score needs, drawn by the seed, cropped to the model.

    Returns:
        (n, channels, image_size, image_size) in [-1, 1].

    Raises:
        FileNotFoundError, ValueError: no such folder, fewer than two images in it, or one that
            cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Name a folder of images for --data.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if len(paths) < 2:
        number = "1 image" if len(paths) == 1 else f"{len(paths)} images"
        raise ValueError(
            f"{folder} holds {number} ({', '.join(IMAGE_ENDINGS)}). "
            f"Content tracking needs at least 2, better {settings.num_coverage}."
        )
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = order[: max(settings.num_bases, settings.num_coverage)]
    framed = [frame(read_image(paths[at], channels), image_size, "crop")[0] for at in chosen]
    return torch.cat(framed)
