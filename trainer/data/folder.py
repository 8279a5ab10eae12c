"""A data set from image files: chooses them, decodes them in threads, skips what is broken."""

from __future__ import annotations

import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from comfyui_cldis.editing.framing import ResizeRule
from comfyui_cldis.imaging.limits import ENDINGS
from comfyui_cldis.wording import counted, printable

from .budget import Budget
from .cache import CacheEntry, load_or_build
from .decode import RULE_VERSION, Decoded, decode_image
from .files import MAX_FILE_BYTES, ZIP, ImageFile, ImageFiles, open_files
from .report import DataReport, describe_zips
from .survey import Fingerprint, Survey, take_fingerprint
from .zip_entries import ZIP_FAULT, as_sentence

_BATCH_FILES = 64  # decoded at once; bounds what is held in memory
_MAX_REASON = 200  # characters
_bytes_in_memory = Budget(MAX_FILE_BYTES)  # of the files that are being read


def open_folder(
    source: str,
    image_size: int,
    channels: int,
    cache_dir: Path,
    num_images: int | None,
    seed: int,
    resize: ResizeRule,
    *,
    retry_failed: bool = True,
) -> tuple[np.ndarray, DataReport, tuple[Path, ...]]:
    """Opens the images of a folder or zip file, in the order of their names.

    With `num_images` they are visited in an order drawn from `seed` until enough are decoded.
    `retry_failed` is as of `load_or_build`.

    Raises:
        FileNotFoundError: nothing at `source`.
        ValueError: not a folder or zip file, or no usable image in it.
        OSError: the cache folder cannot be written.
    """
    path = Path(source)
    with open_files(path) as files:
        if not files.listed:
            raise ValueError(nothing_usable(source, 0, files.unreadable, files))
        chosen = files.listed
        if num_images is not None:
            order = np.random.default_rng(seed).permutation(len(chosen))
            chosen = [chosen[index] for index in order]
        capacity = min(len(chosen), num_images or len(chosen))
        entry = CacheEntry.of(
            cache_dir,
            (capacity, image_size, image_size, channels),
            origin=str(path.resolve()),
            wanted={
                "kind": "files",
                "image_size": image_size,
                "channels": channels,
                "resize": resize,
                "num_images": num_images,
                "seed": None if num_images is None else seed,
            },
            state={"rule": RULE_VERSION, "listing": _hash_listing(files.listed)},
        )

        def build(pixels: np.ndarray) -> DataReport:
            survey = Survey(capacity)
            rows, skipped, num_passing = decode_into(pixels, files, chosen, resize, survey)
            if not rows:
                failed = files.unreadable + skipped
                raise ValueError(nothing_usable(source, len(chosen), failed, files))
            return DataReport(
                source=source,
                found=len(chosen),
                used=len(rows),
                skipped=tuple(skipped),
                num_passing=num_passing,
                image_size=image_size,
                resize=resize,
                findings=survey.sum_up(
                    image_size, resize, lambda row: printable(chosen[rows[row]].name)
                ),
            )

        pixels, report, older = load_or_build(entry, source, build, retry_failed=retry_failed)
        # What could not be listed is not part of the key, so a cached report may not know it.
        unlisted = dict(files.unreadable)
        skipped = (pair for pair in report.skipped if pair[0] not in unlisted)
        report = replace(
            report,
            found=len(chosen) + len(files.unreadable),
            skipped=(*files.unreadable, *skipped),
            ignored=tuple(files.ignored.most_common()),
            zips=tuple(files.zips),
        )
        return pixels, report, older


class _Failure(NamedTuple):
    """Why a file was not decoded, and whether that may pass, as a network that is away does."""

    reason: str
    may_pass: bool


def decode_into(
    pixels: np.ndarray,
    files: ImageFiles,
    chosen: list[ImageFile],
    resize: ResizeRule,
    survey: Survey,
) -> tuple[list[int], list[tuple[str, str]], int]:
    """Fills `pixels`.

    Returns:
        Which file each row came from, what was skipped, and how many of those for a reason that
        may pass.
    """
    capacity, image_size, _, channels = pixels.shape
    rows: list[int] = []
    skipped: list[tuple[str, str]] = []
    num_passing = 0

    def decode(file: ImageFile) -> tuple[Decoded, Fingerprint] | _Failure:
        try:
            with _bytes_in_memory.lend(min(file.num_bytes, MAX_FILE_BYTES)):
                decoded = decode_image(files.read(file), image_size, channels, resize)
        except MemoryError:  # as a damaged file may ask for, or a large one beside other programs
            return _Failure(
                "there is too little memory to decode it; a run in another folder tries again", True
            )
        except Exception as error:  # a damaged file can raise anything
            return _failure(error)
        return decoded, take_fingerprint(decoded.pixels)

    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
        tqdm(total=capacity, desc="decoding images", unit="img", mininterval=0.5) as progress,
    ):
        # Pillow warns of odd metadata, and of large images, for which there is a limit here.
        warnings.filterwarnings("ignore", module="PIL")
        start = 0
        while len(rows) < capacity and start < len(chosen):
            # Never more than are still wanted, so that the result ends with the last one visited.
            batch = chosen[start : start + min(_BATCH_FILES, capacity - len(rows))]
            for index, result in enumerate(pool.map(decode, batch), start):
                if isinstance(result, _Failure):
                    skipped.append((printable(chosen[index].name), result.reason))
                    num_passing += result.may_pass
                    continue
                pixels[len(rows)] = result[0].pixels
                survey.add(*result)
                rows.append(index)
                progress.update()
            start += len(batch)
    return rows, skipped, num_passing


def _failure(error: Exception) -> _Failure:
    """Why a file was skipped, in words where they are known."""
    text = str(error)
    if isinstance(error, ValueError):  # our own sentences
        return _Failure(printable(text[:_MAX_REASON]) or "a value in it is wrong", False)
    if isinstance(error, OSError) and error.errno is not None:  # of the system, not of the content
        reason = printable(f"cannot be read ({error.strerror or text}"[:_MAX_REASON] + ")")
        return _Failure(f"{reason}; a run in another folder tries again", True)
    return _Failure(
        printable(f"damaged ({type(error).__name__}: {text}"[:_MAX_REASON] + ")"), False
    )


def _hash_listing(listed: list[ImageFile]) -> str:
    digest = hashlib.sha256()
    for file in listed:
        digest.update(
            repr((file.name, file.num_bytes, file.stamp)).encode("ascii", "backslashreplace")
        )
    return digest.hexdigest()


def nothing_usable(
    source: str, found: int, skipped: list[tuple[str, str]], files: ImageFiles
) -> str:
    """A sentence with what is there and one with the remedy.

    Args:
        found: image files that were tried.
        skipped: those that cannot be used, name and reason.
    """
    ignored = files.ignored
    of_zip = [reason for _, reason in skipped if reason.startswith(ZIP_FAULT)]
    if of_zip and len(of_zip) == len(skipped):
        fault, _, remedy = of_zip[0].partition("; ")
        number = counted(len(skipped), "image file")
        return f"{source} has {number}, none of them usable: {fault}. {as_sentence(remedy)}"
    fact = f"{source} has {counted(found, 'image file')}"
    if found:
        fact += ", none of them usable"
    if skipped:
        fact += f" ({'; '.join(f'{name}: {reason}' for name, reason in skipped[:3])})"
    if ignored:
        others = [
            f"{count} {ending or 'without ending'}" for ending, count in ignored.most_common(3)
        ]
        fact += f", and {counted(ignored.total(), 'other file')} ({', '.join(others)})"
    if files.zips:
        return f"{fact}. It contains {describe_zips(files.zips, ignored[ZIP])}."
    return (
        f"{fact}. Check the path, or convert the images: at least one undamaged file must end in "
        f"{', '.join(ENDINGS)}, in nested folders too."
    )
