"""What a model's measured figures mean, in words: for `cldis info`, its model card and its report.

The figures are in the facts of the header, under "quality" (`trainer.model_quality` measures
them).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..editing.editable import MONOTONE_SHARE

WEAK_SHARE = 0.25  # of the strongest effect: directions below are called weak
INVERTED = "psnr_inverted_noise_db"
CAPTION = "the noise map alone gives as much with a useless code, so it is no sign of quality"
NAMES = {
    "explained_variance_random_noise": "code explains",
    "explained_variance_preview": "co-pilot explains",
    "num_visible_monotone": "directions that is monotone",
    INVERTED: "inverted noise",
}
BASIS = ("pictures", "num_images", "num_steps")


def describe_quality(quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for reading: what was evaluated, the known figures, then all others.

    Nested figures are left out; a figure that is not a finite number is shown as it is.
    """
    lines = []
    if "num_images" in quality:
        lines.append(("measured on", f"{quality['num_images']} {evaluated_on(quality)}"))
    for key, name in NAMES.items():
        if key not in quality:
            continue
        value = _finite(quality[key])
        if value is None:
            lines.append((name, str(quality[key])))
        elif key == INVERTED:
            lines.append((name, f"{value:.1f} dB PSNR; {CAPTION}"))
        elif key.startswith("explained"):
            lines.append((name, explained(value)))
        else:
            lines.append((name, f"{value:g}"))
    known = {*NAMES, *(BASIS if lines else ())}
    lines += [
        (key.replace("_", " "), str(value))
        for key, value in quality.items()
        if key not in known and not isinstance(value, Mapping)
    ]
    return lines


def explained(share: float) -> str:
    """An explained variance (1 perfect, 0 as good as the mean image) as part of a sentence."""
    if share < 0:
        return f"nothing: the mean image of the training set is nearer ({share:.2f})"
    return f"{100 * share:.0f} % of how the images differ from their mean"


def weakness(effect: float, strongest: float, monotone_share: float | None) -> str:
    """Why a direction makes a poor slider, in a few words; "" when nothing speaks against it.

    Args:
        effect, strongest: of the direction, and of the model's first one (`Direction.effect`).
        monotone_share: share of images on which its change is monotone; None: not measured.
    """
    reasons = []
    if effect < WEAK_SHARE * strongest:
        reasons.append("weak")
    if monotone_share is not None and monotone_share < MONOTONE_SHARE:
        reasons.append(f"uneven on {100 * (1 - monotone_share):.0f} % of the images")
    return ", ".join(reasons)


def evaluated_on(quality: Mapping[str, Any]) -> str:
    """The images that the quality was measured on, such as "unseen images"."""
    seen = quality.get("pictures", "unseen")  # the key is younger than the first models
    return "unseen images" if seen == "unseen" else f"images {seen}"


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
