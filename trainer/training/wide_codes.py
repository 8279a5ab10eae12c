"""The codes that a frozen backbone gives the images of a run: computed once, then mapped.

They lie in a .npy file in the run's cache, named by the backbone, the images and whether they are
mirrored too. Every row is NaN until it is computed, from the first moment of the file, so that a
stopped computation goes on with those that are. Codes of other images stay until somebody has
accepted these.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from comfyui_cldis.atomic_write import replacing
from comfyui_cldis.atomic_write import unfinished as unfinished_writes
from comfyui_cldis.datasets.mapped_file import prepare_folder
from comfyui_cldis.model import DiffAE

from ..data import Images
from .backbone import BackboneFile
from .batches import to_tensor
from .fingerprint import hash_pixels

PREFIX, ENDING = "codes-", ".npy"
UNFINISHED = ".partial.npy"  # not ".unfinished.npy": those of earlier versions may hold zeros
BATCH_PIXELS = 64 * 64**2  # that are encoded at a time
CHUNK_IMAGES = 1024  # whose codes are looked through at a time


def open_wide_codes(
    backbone: BackboneFile,
    images: Images,
    folder: Path,
    *,
    flip: bool = False,
    device: torch.device | str = "cpu",
    log: Callable[[str], None] = lambda text: None,
) -> np.memmap:
    """The codes (n, 1, R) float32 of the images, or (n, 2, R) with those of the mirrored ones.

    Args:
        images: uint8 (n, S, S, C).
        folder: of the cache, made if it is not there.
        device: where to compute what is missing.
        log: gets a sentence when there is something to compute.

    Raises:
        OSError: the folder cannot be written, or has too little room.
        ValueError: a code is not finite.
    """
    shape = (len(images), 1 + flip, backbone.config.latent_dim)
    path = folder / f"{PREFIX}{_key(backbone, images, shape)}{ENDING}"
    found = _map(path, shape, "r")
    if found is not None:
        return found
    unfinished = path.with_name(path.name.removesuffix(ENDING) + UNFINISHED)
    codes = _map(unfinished, shape, "r+")
    if codes is None:
        _create(unfinished, shape)
        codes = _map(unfinished, shape, "r+")
    if codes is None:
        raise OSError(f"{unfinished} was changed while it was in use. Run the same again.")
    log(f"Encoding {len(images):,} images with {backbone.path.name}, once.")
    _compute(backbone.load().to(device), images, codes)
    codes.flush()
    del codes  # Windows renames only closed files
    os.replace(unfinished, path)
    found = _map(path, shape, "r")
    if found is None:
        raise OSError(f"{path} was changed while it was in use. Run the same again.")
    return found


def remove_other_codes(codes: np.memmap) -> None:
    """Give the room of all other codes in a cache back, whole or partial; of a cache with one user.

    Args:
        codes: of `open_wide_codes`.
    """
    own = Path(str(codes.filename))
    for path in own.parent.glob(f"{PREFIX}*{ENDING}"):
        if path.name != own.name:
            with suppress(OSError):  # on Windows, while another process still reads it
                path.unlink()


def _create(path: Path, shape: tuple[int, ...]) -> None:
    """Make a file of NaN, whole or not at all: a new map is zeros, which would pass for codes."""
    prepare_folder(path.parent, 4 * int(np.prod(shape)))
    for left in unfinished_writes(path):  # of a kill
        with suppress(OSError):  # on Windows, while it is still mapped
            left.unlink()
    with replacing(path) as temporary:
        codes = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        try:
            codes[:] = np.nan
            codes.flush()
        finally:
            del codes  # Windows renames and removes only closed files


def _missing(codes: np.ndarray) -> np.ndarray:
    """Indices of the rows with a number that is not finite, wherever they lie."""
    parts = [
        start + np.flatnonzero(~np.isfinite(codes[start : start + CHUNK_IMAGES]).all((1, 2)))
        for start in range(0, len(codes), CHUNK_IMAGES)
    ]
    return np.concatenate(parts)


@torch.no_grad()
def _compute(networks: DiffAE, images: Images, codes: np.ndarray) -> None:
    """Fill the rows that are missing; then all are finite."""
    size = max(1, BATCH_PIXELS // networks.config.image_size**2)
    missing = _missing(codes)
    done = len(images) - len(missing)
    with tqdm(total=len(images), initial=done, desc="encoding", unit="image") as bar:
        for start in range(0, len(missing), size):
            rows = missing[start : start + size]
            batch = to_tensor(np.array(images[rows]), networks.device)
            views = [batch, batch.flip(-1)][: codes.shape[1]]
            found = torch.stack([networks.encode_semantic(each).mu for each in views], 1).cpu()
            if not bool(torch.isfinite(found).all()):
                raise ValueError(
                    f"The model gives one of the images {rows[0] + 1} to {rows[-1] + 1} a code "
                    "that is not finite. Import it again, or give another one."
                )
            codes[rows] = found.numpy()
            bar.update(len(batch))


def _key(backbone: BackboneFile, images: Images, shape: tuple[int, ...]) -> str:
    """A name for what the codes depend on: the backbone's file and every pixel."""
    digest = hashlib.sha256(f"{backbone.sha256} {shape} {images.shape}".encode())
    hash_pixels(digest, images)
    return digest.hexdigest()[:20]


def _map(path: Path, shape: tuple[int, ...], mode: str) -> np.memmap | None:
    """The array, mapped; None where there is none of that shape."""
    try:
        found = np.load(path, mmap_mode=mode)  # type: ignore[call-overload]
    except (OSError, ValueError, EOFError):
        return None
    is_right = isinstance(found, np.memmap) and found.shape == shape and found.dtype == np.float32
    return found if is_right else None
