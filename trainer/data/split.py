"""Which images of a source are trained on, and which the quality is measured on."""

from __future__ import annotations

from .holdout import Split, hold_out
from .images import ImageSet
from .sources import BUILT_IN_SOURCES


def split_images(source: str, images: ImageSet, held_out: float, seed: int) -> Split:
    """Hold images out, as `TrainConfig.held_out` asks; built-in sets draw others for that instead.

    Raises:
        ValueError: all images are the same.
    """
    findings, count = images.report.findings, len(images.images)
    if findings is not None and 0 < count - 1 <= findings.num_duplicates:
        raise ValueError(
            f"All {count} images of {source} are the same, so there is nothing to learn. Give "
            "images that differ."
        )
    if source in BUILT_IN_SOURCES or not held_out:
        return Split(images.images, None)
    may_repeat = findings is None or findings.num_duplicates > 0
    return hold_out(images.images, held_out, seed, may_repeat=may_repeat)


def describe_split(source: str, split: Split, held_out: float) -> list[str]:
    """What is held out, in a sentence; nothing about built-in sets."""
    if source in BUILT_IN_SOURCES:
        return []
    if split.held_out is not None:
        return [
            f"{len(split.held_out):,} of them are not trained on: the quality is measured on them "
            "(held_out; 0 trains on all)."
        ]
    why = "held_out is 0" if not held_out else "they are too few to hold some out"
    return [f"All of them are trained on ({why}), so the quality is measured on images seen."]
