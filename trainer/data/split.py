"""Which images of a source are trained on, and which the quality is measured on."""

from __future__ import annotations

from comfyui_cldis.wording import counted

from .holdout import Split, hold_out
from .images import ImageSet
from .report import DataReport
from .sources import BUILT_IN_SOURCES

FEW = 300  # the least that the guide to training asks for


def few_images(count: int) -> str:
    """What to expect of so few images, in two sentences; "" of enough."""
    if count >= FEW:
        return ""
    return (
        f"{counted(count, 'image')} will be learned by heart, and sliders found in them say little "
        f"of others. Give some hundreds of one kind, better 2,000."
    )


def few_images_used(report: DataReport) -> str:
    """`few_images` of all that was used of a source; "" of built-in sets."""
    return "" if report.source in BUILT_IN_SOURCES else few_images(report.used)


def split_images(source: str, images: ImageSet, held_out: float, seed: int) -> Split:
    """Hold images out, as `TrainConfig.held_out` asks; built-in sets draw others for that instead.

    Raises:
        ValueError: one image alone, or all images are the same.
    """
    findings, count = images.report.findings, len(images.images)
    if count < 2:
        raise ValueError(_too_few(source, images.report))
    if findings is not None and 0 < count - 1 <= findings.num_duplicates:
        raise ValueError(
            f"All {count} images of {source} are the same, so there is nothing to learn. Give "
            "images that differ."
        )
    if source in BUILT_IN_SOURCES or not held_out:
        return Split(images.images, None)
    may_repeat = findings is None or findings.num_duplicates > 0
    return hold_out(images.images, held_out, seed, may_repeat=may_repeat)


def _too_few(source: str, report: DataReport) -> str:
    """Why one image alone is used, and the remedy, in two sentences."""
    if source in BUILT_IN_SOURCES or report.found > report.used + len(report.skipped):
        return f"num_images is 1, which is too few to train on. Set it to 2 or more for {source}."
    fact = f"{source} holds {counted(report.found, 'image file')}"
    if report.skipped:
        name, reason = report.skipped[0]
        more = ", ..." if len(report.skipped) > 1 else ""
        fact += f", of which 1 can be used ({name}: {reason}{more})"
    return f"{fact}. Give a folder or .zip with two or more{' that can' if report.skipped else ''}."


def describe_split(source: str, split: Split, held_out: float) -> list[str]:
    """What is held out, and whether images are few, in sentences; nothing about built-in sets."""
    if source in BUILT_IN_SOURCES:
        return []
    num_held_out = 0 if split.held_out is None else len(split.held_out)
    few = few_images(len(split.training) + num_held_out)
    if num_held_out:
        text = (
            f"{num_held_out:,} of them are not trained on: the quality is measured on them "
            "(held_out; 0 trains on all)."
        )
    else:
        why = "held_out is 0" if not held_out else "they are too few to hold some out"
        text = f"All of them are trained on ({why}), so the quality is measured on images seen."
    return [text, few] if few else [text]
