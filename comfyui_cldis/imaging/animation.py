"""Writes a looping animation, GIF or WebP, from images of one size."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from ..atomic_write import write_bytes

ANIMATION_FORMATS = {".gif": "GIF", ".webp": "WEBP"}
MAX_FRAMES = 512
MAX_SIDE = 16383  # pixels; as libwebp has it
MAX_PIXELS = 2**27  # of all frames together, such as 30 of 2048 x 2048

T = TypeVar("T")


def forth_and_back(frames: Sequence[T]) -> list[T]:
    """The frames, and those between the ends once more backwards: a loop without a jump."""
    return [*frames, *frames[-2:0:-1]]


def _check_ending(path: Path) -> None:
    if path.suffix.lower() not in ANIMATION_FORMATS:
        allowed = ", ".join(ANIMATION_FORMATS)
        raise ValueError(f"The animation {path} has no such ending. Use one of {allowed}.")


def write_animation(
    path: str | os.PathLike[str], frames: Sequence[Image.Image], *, frames_per_sec: float = 16
) -> None:
    """Writes an animation that repeats for ever; a file that is there is replaced.

    A frame that equals the one before is not stored again; that one is shown for longer. WebP is
    lossy, of quality 90. A GIF file has one palette of 256 colours for all frames, and times in
    hundredths of a second. Takes at most 4 bytes of memory for each pixel of the frames beside
    them, and 8 where they are not of mode "RGB".

    Args:
        frames: 2 to 512 images of one size, of `MAX_PIXELS` pixels together. Alpha is not kept.
        frames_per_sec: 1 to 50.

    Raises:
        ValueError: the ending, the number or the sizes of the frames, or the rate.
        OSError: the folder cannot be written, or the disk is full; an older file is still whole.
    """
    path = Path(path)
    _check_ending(path)
    _check_frames(frames)
    if not 1 <= frames_per_sec <= 50:
        raise ValueError(f"frames_per_sec is {frames_per_sec}. Use 1 to 50.")
    kind = ANIMATION_FORMATS[path.suffix.lower()]
    images = [frame if frame.mode == "RGB" else frame.convert("RGB") for frame in frames]
    if kind == "GIF":
        images = _with_one_palette(images)
    options = {"quality": 90, "method": 4} if kind == "WEBP" else {"optimize": False}
    encoded = io.BytesIO()
    images[0].save(
        encoded,
        kind,
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / frames_per_sec),
        loop=0,
        **options,
    )
    write_bytes(path, encoded.getvalue())


def _check_frames(frames: Sequence[Image.Image]) -> None:
    if not 2 <= len(frames) <= MAX_FRAMES:
        raise ValueError(f"The animation has {len(frames)} frames. Give 2 to {MAX_FRAMES}.")
    if len({frame.size for frame in frames}) > 1:
        raise ValueError("The frames of the animation differ in size. Give images of one size.")
    width, height = frames[0].size
    if not 1 <= min(width, height) <= max(width, height) <= MAX_SIDE:
        raise ValueError(
            f"The frames have {width} x {height} pixels. Give 1 to {MAX_SIDE} on a side."
        )
    if len(frames) * width * height > MAX_PIXELS:
        raise ValueError(
            f"{len(frames)} frames of {width} x {height} pixels are more than {MAX_PIXELS} pixels "
            "together. Give smaller or fewer frames."
        )


def _with_one_palette(images: list[Image.Image]) -> list[Image.Image]:
    """Frames of 256 colours in which nothing flickers that stands still.

    The palette is the same for all. What a pixel is dithered to depends on its neighbours, so one
    that keeps its colour keeps what it was in the frame before.
    """
    chosen = images[:: max(1, len(images) // 8)]
    side = (min(images[0].width, 256), min(images[0].height, 256))
    strip = Image.new("RGB", (side[0] * len(chosen), side[1]))
    for index, image in enumerate(chosen):
        strip.paste(image.resize(side), (index * side[0], 0))
    # An octree keeps small areas of a colour of their own, such as eyes; a median cut does not.
    palette = strip.quantize(256, Image.Quantize.FASTOCTREE)
    dithered = [
        image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for image in images
    ]
    for before, after, shown, found in zip(
        images[:-1], images[1:], dithered[:-1], dithered[1:], strict=True
    ):
        moved = (np.asarray(before) != np.asarray(after)).any(axis=2)
        still = Image.fromarray(~moved)
        found.paste(shown, mask=still)
    return dithered
