"""The heads as a cached data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from comfyui_cldis.datasets.heads.generator import (
    GENERATOR_VERSION,
    check_image_size,
    render_dataset,
)
from comfyui_cldis.datasets.names import HEADS_NAME

from .cache import CacheEntry, load_or_build
from .report import DataReport
from .sources import SOURCES
from .survey import survey_drawn


def open_heads(
    image_size: int, cache_dir: Path, num_images: int | None, seed: int
) -> tuple[np.ndarray, DataReport, tuple[Path, ...]]:
    """Renders the heads of a seed once and maps them afterwards.

    Raises:
        ValueError: the image size is out of range.
        OSError: the cache folder cannot be written.
    """
    check_image_size(image_size)
    count = SOURCES[HEADS_NAME].num_images if num_images is None else num_images
    entry = CacheEntry.of(
        cache_dir,
        (count, image_size, image_size, 3),
        origin=HEADS_NAME,
        wanted={"kind": HEADS_NAME, "image_size": image_size, "num_images": count, "seed": seed},
        state={"generator": GENERATOR_VERSION},
    )

    def build(pixels: np.ndarray) -> DataReport:
        with tqdm(total=count, desc="rendering heads", unit="img", mininterval=0.5) as progress:
            render_dataset(count, image_size, seed, pixels, on_progress=progress.update)
        findings = survey_drawn(pixels, lambda row: f"head {row + 1}")
        return DataReport(HEADS_NAME, count, count, image_size=image_size, findings=findings)

    return load_or_build(entry, HEADS_NAME, build)
