"""Opens a source of training images by name: the one door of this package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comfyui_cldis.datasets.names import HEADS_NAME
from comfyui_cldis.datasets.optional import raise_explained
from comfyui_cldis.datasets.registry import is_factor_source
from comfyui_cldis.datasets.space import check_shape
from comfyui_cldis.editing.framing import RESIZE_RULES, ResizeRule

from .cache import remove_files
from .factor_images import open_factor_images
from .folder import open_folder
from .report import DataReport


@dataclass(frozen=True)
class ImageSet:
    """Square images, decoded and memory-mapped, and what became of the files."""

    images: np.ndarray  # (n, S, S, C) uint8, read-only
    report: DataReport
    older: tuple[Path, ...] = ()  # files of the cache, of the same source before it changed

    def remove_older(self) -> None:
        """Give the room of the older copies back, once these images are those that are wanted."""
        remove_files(self.older)


def open_images(
    source: str,
    image_size: int,
    *,
    cache_dir: Path,
    num_images: int | None = None,
    seed: int = 0,
    channels: int = 3,
    resize: ResizeRule = "crop",
    retry_failed: bool = True,
) -> ImageSet:
    """Opens images, decoding them on the first call and mapping the cache file afterwards.

    Args:
        source: "heads" (procedural portraits), "shapes3d-equivalent" or "dsprites-equivalent"
            (write "./heads" for a folder of such a name), a folder or a .zip file (folders within
            are searched too), or a file of `datasets.registry.open_factor_data`.
        image_size: S.
        cache_dir: where decoded pixels are kept; a change of the files makes new ones, and those
            before it stay until `ImageSet.remove_older`.
        num_images: images to draw (None: 20000), or the most files or stored images to use
            (None: all), chosen by `seed`.
        seed: another seed gives heads that share none with this one, and other combinations of
            factors.
        channels: C, 3 (RGB) or 1 (grey, not for heads and coloured factor data).
        resize: how an image becomes a square: "crop" (the largest central square), "pad" (the
            edge repeated) or "stretch". Drawn and stored images are square already.
        retry_failed: try again to read files that the system did not read when the images were
            cached; False keeps to the cached ones, as a run that resumes must.

    Raises:
        FileNotFoundError: nothing at `source`.
        ValueError: a number out of range, or no usable image.
        OSError: the cache folder cannot be written.
        ModuleNotFoundError: "heads" without numba, .h5 files without h5py, .mat without scipy.
    """
    check_shape(image_size, channels)
    if num_images is not None and num_images < 1:
        raise ValueError(f"num_images is {num_images}. Use 1 or more, or leave it out for all.")
    if seed < 0:
        raise ValueError(f"seed is {seed}. Use 0 or more.")
    if resize not in RESIZE_RULES:
        raise ValueError(f"resize is {resize!r}. Use one of {', '.join(RESIZE_RULES)}.")
    if is_factor_source(source):
        return ImageSet(
            *open_factor_images(source, image_size, channels, cache_dir, num_images, seed)
        )
    if source != HEADS_NAME:
        return ImageSet(
            *open_folder(
                source,
                image_size,
                channels,
                cache_dir,
                num_images,
                seed,
                resize,
                retry_failed=retry_failed,
            )
        )

    if channels != 3:
        raise ValueError(f"channels is {channels} for '{source}', which is RGB. Use channels 3.")
    try:
        from .head_images import open_heads  # numba is optional, and slow to import
    except ModuleNotFoundError as error:
        raise_explained(error, f"'{source}'", "numba", "llvmlite")
    return ImageSet(*open_heads(image_size, cache_dir, num_images, seed))
