"""A factor data set as a cached set of training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from comfyui_cldis.datasets.dsprites import DSPRITES_VERSION
from comfyui_cldis.datasets.names import DRAWN_NAMES, DSPRITES_NAME, SHAPES3D_NAME
from comfyui_cldis.datasets.registry import check_channels, fit_channels, open_factor_data
from comfyui_cldis.datasets.shapes3d import SHAPES3D_VERSION
from comfyui_cldis.datasets.space import FactorData, FactorSpace, sample_combinations
from comfyui_cldis.datasets.stored import StoredImages, read_table

from .cache import CacheEntry, load_or_build
from .report import DataReport
from .sources import SOURCES
from .survey import survey_drawn

_BATCH = 256
VERSIONS = {SHAPES3D_NAME: SHAPES3D_VERSION, DSPRITES_NAME: DSPRITES_VERSION}


@dataclass(frozen=True)
class _FactorSet:
    """A factor data set before its images are touched."""

    name: str
    origin: str
    state: dict[str, Any]  # changes when its images do
    space: FactorSpace
    default: int  # images when no number is given
    open: Callable[[], FactorData]


def open_factor_images(
    source: str,
    image_size: int,
    channels: int,
    cache_dir: Path,
    num_images: int | None,
    seed: int,
) -> tuple[np.ndarray, DataReport, tuple[Path, ...]]:
    """Draws or copies combinations once and maps them afterwards.

    Fewer than all are random ones, each at most once; all are in the order of their indices.

    Raises:
        ValueError: more images than combinations, or what `open_factor_data` raises it for.
        OSError: the cache folder cannot be written.
    """
    if source in DRAWN_NAMES:
        found = _drawn(source, image_size, channels)
    else:
        found = _stored(Path(source), image_size, channels, cache_dir)
    space, count = found.space, num_images or found.default
    if count > space.num_combinations:
        raise ValueError(
            f"num_images is {count:,}, and {source!r} has {space.num_combinations:,} images. Ask "
            "for no more than that."
        )
    takes_all = count == space.num_combinations
    entry = CacheEntry.of(
        cache_dir,
        (count, image_size, image_size, channels),
        origin=found.origin,
        wanted={
            "kind": "factors",
            "name": found.name,
            "image_size": image_size,
            "channels": channels,
            "num_images": count,
            "seed": None if takes_all else seed,
        },
        state=found.state,
    )

    def build(pixels: np.ndarray) -> DataReport:
        data = found.open()
        if takes_all:
            factors = space.to_factors(np.arange(count))
        else:
            factors = sample_combinations(space, count, np.random.default_rng(seed))
        with tqdm(total=count, desc=f"drawing {data.name}", unit="img", mininterval=0.5) as bar:
            for start in range(0, count, _BATCH):
                batch = factors[start : start + _BATCH]
                pixels[start : start + len(batch)] = data.images(batch)
                bar.update(len(batch))
        findings = survey_drawn(pixels, lambda row: " ".join(map(str, factors[row].tolist())))
        return DataReport(source, count, count, image_size=image_size, findings=findings)

    return load_or_build(entry, source, build)


def _drawn(name: str, image_size: int, channels: int) -> _FactorSet:
    data = open_factor_data(name, image_size, channels=channels)
    state = {"version": VERSIONS[name]}
    return _FactorSet(name, name, state, data.space, SOURCES[name].num_images, lambda: data)


def _stored(path: Path, image_size: int, channels: int, cache_dir: Path) -> _FactorSet:
    table = read_table(path)
    check_channels(table.name, table.shape[3], channels)
    return _FactorSet(
        name=table.name,
        origin=str(path.resolve()),
        state={"stamp": table.stamp, "shape": table.shape},
        space=table.space,
        default=table.space.num_combinations,
        open=lambda: fit_channels(StoredImages(table, image_size, cache_dir), channels),
    )
