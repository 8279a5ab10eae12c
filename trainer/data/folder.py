"""A data set from picture files: chooses them, decodes them in threads, skips what is broken."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError
from tqdm import tqdm

from .cache import load_or_build, make_key
from .decode import EXTENSIONS, RULE_VERSION, decode_picture
from .files import PictureFile, PictureFiles, open_files, printable
from .report import DataReport

_BATCH_FILES = 64  # decoded at once; bounds what is held in memory
_MAX_REASON = 200  # characters


def open_folder(
    source: str,
    image_size: int,
    channels: int,
    cache_dir: Path,
    num_images: int | None,
    seed: int,
) -> tuple[np.ndarray, DataReport]:
    """Opens the pictures of a folder or zip file, in the order of their names.

    With `num_images` they are visited in an order drawn from `seed` until enough are decoded.

    Raises:
        FileNotFoundError: nothing at `source`.
        ValueError: not a folder or zip file, or no usable picture in it.
        OSError: the cache folder cannot be written.
    """
    with open_files(Path(source).expanduser()) as files:
        if not files.listed:
            raise ValueError(_nothing_usable(source, 0, files.unreadable))
        chosen = files.listed
        if num_images is not None:
            order = np.random.default_rng(seed).permutation(len(chosen))
            chosen = [chosen[index] for index in order]
        capacity = min(len(chosen), num_images or len(chosen))
        key = make_key(
            {
                "kind": "files",
                "rule": RULE_VERSION,
                "image_size": image_size,
                "channels": channels,
                "num_images": num_images,
                "seed": None if num_images is None else seed,
                "listing": _hash_listing(files.listed),
            }
        )

        def build(pixels: np.ndarray) -> DataReport:
            used, skipped = _decode_into(pixels, files, chosen)
            skipped = files.unreadable + skipped
            if used == 0:
                raise ValueError(_nothing_usable(source, len(chosen), skipped))
            return DataReport(source, len(chosen), used, tuple(skipped))

        shape = (capacity, image_size, image_size, channels)
        return load_or_build(cache_dir, key, shape, source, build)


def _decode_into(
    pixels: np.ndarray, files: PictureFiles, chosen: list[PictureFile]
) -> tuple[int, list[tuple[str, str]]]:
    capacity, image_size, _, channels = pixels.shape
    used = 0
    skipped: list[tuple[str, str]] = []

    def decode(file: PictureFile) -> np.ndarray | str:
        try:
            return decode_picture(files.read(file), image_size, channels)
        except UnidentifiedImageError:
            return "not a picture of an accepted format"
        except Exception as error:  # a damaged file can raise anything
            return f"{type(error).__name__}: {error}"[:_MAX_REASON]

    with (
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
        tqdm(total=capacity, desc="decoding pictures", unit="img", mininterval=0.5) as progress,
    ):
        start = 0
        while used < capacity and start < len(chosen):
            # Never more than are still wanted, so that the result ends with the last one visited.
            batch = chosen[start : start + min(_BATCH_FILES, capacity - used)]
            start += len(batch)
            for file, result in zip(batch, pool.map(decode, batch), strict=True):
                if isinstance(result, str):
                    skipped.append((printable(file.name), result))
                    continue
                pixels[used] = result
                used += 1
                progress.update()
    return used, skipped


def _hash_listing(listed: list[PictureFile]) -> str:
    digest = hashlib.sha256()
    for file in listed:
        digest.update(
            repr((file.name, file.num_bytes, file.stamp)).encode("ascii", "backslashreplace")
        )
    return digest.hexdigest()


def _nothing_usable(source: str, found: int, skipped: list[tuple[str, str]]) -> str:
    fact = f"got data {source!r} with {found} picture files, none of them usable"
    if skipped:
        fact += f" ({'; '.join(f'{name}: {reason}' for name, reason in skipped[:3])})"
    return (
        f"{fact}; expected at least one undamaged file ending in {', '.join(EXTENSIONS)}, "
        "nested folders included; check the path or convert the pictures"
    )
