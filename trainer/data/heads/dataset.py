"""The heads as a cached data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..cache import load_or_build, make_key
from ..report import DataReport
from .generator import GENERATOR_VERSION, check_image_size, render_dataset

DEFAULT_NUM_IMAGES = 20000


def open_heads(
    image_size: int, cache_dir: Path, num_images: int | None, seed: int
) -> tuple[np.ndarray, DataReport]:
    """Renders the heads of a seed once and maps them afterwards.

    Raises:
        ValueError: the image size is out of range.
        OSError: the cache folder cannot be written.
    """
    check_image_size(image_size)
    count = DEFAULT_NUM_IMAGES if num_images is None else num_images
    key = make_key(
        {
            "kind": "heads",
            "generator": GENERATOR_VERSION,
            "image_size": image_size,
            "num_images": count,
            "seed": seed,
        }
    )

    def build(pixels: np.ndarray) -> DataReport:
        with tqdm(total=count, desc="rendering heads", unit="img", mininterval=0.5) as progress:
            render_dataset(count, image_size, seed, pixels, on_progress=progress.update)
        return DataReport("heads", count, count)

    return load_or_build(cache_dir, key, (count, image_size, image_size, 3), "heads", build)
