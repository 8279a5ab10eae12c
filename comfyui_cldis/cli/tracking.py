"""What `cldis track` adds to the score: images from a folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
from torch import Tensor

from ..editing.framing import frame
from ..imaging.limits import ENDINGS
from ..imaging.reading import UnreadableImageError, read_image
from ..imaging.tensors import to_tensor
from ..tracking import TrackingSettings
from ..wording import counted, printable
from .terminal import complain

MAX_NAMES = 8  # of files that are left out


def read_folder(
    folder: Path,
    image_size: int,
    channels: int,
    settings: TrackingSettings,
    seed: int,
    resize: str = "crop",
) -> Tensor:
    """As many images of a folder as the score needs, drawn by the seed, at the model's size.

    One that cannot be read is left out, with a note, and the next one drawn.

    Args:
        resize: one of `framing.RESIZE_RULES`.

    Returns:
        (n, channels, image_size, image_size) in [-1, 1].

    Raises:
        FileNotFoundError, ValueError: no such folder, or fewer than two images in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Name a folder of images for --data.")
    paths = _image_files(folder)
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    wanted = max(settings.num_bases, settings.num_coverage)
    images: list[Tensor] = []
    skipped: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which do not count
        for path in (paths[at] for at in order):
            if len(images) == wanted:
                break
            try:
                image = to_tensor(read_image(path, channels).image)
            except (UnreadableImageError, OSError):
                skipped.append(printable(str(path.relative_to(folder))))
                continue
            images.append(frame(image, image_size, resize)[0])
    if skipped:
        more = ", ..." if len(skipped) > MAX_NAMES else ""
        complain(
            f"Note: {counted(len(skipped), 'image')} could not be read and "
            f"{'is' if len(skipped) == 1 else 'are'} left out: "
            f"{', '.join(skipped[:MAX_NAMES])}{more}."
        )
    if len(images) < 2:
        raise ValueError(
            f"{folder} holds {counted(len(images), 'image')} ({', '.join(ENDINGS)}). "
            f"Content tracking needs at least 2, better {settings.num_coverage}."
        )
    return torch.cat(images)


def _image_files(folder: Path) -> list[Path]:
    """In order; as in training linked folders are followed, each once, and hidden ones are not."""
    found: list[Path] = []
    seen: set[str] = set()
    for place, subfolders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        images = [name for name in names if name.lower().endswith(ENDINGS) and name[0] != "."]
        found += [Path(place, name) for name in images]
    return sorted(found)
