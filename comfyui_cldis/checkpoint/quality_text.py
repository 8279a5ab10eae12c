"""What a model's measured figures mean, in words: for `cldis info`, its model card and its report.

`trainer.model_quality` measures them; those of a direction are in `Direction.quality`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..editing.direction import Direction, count_monotone
from ..editing.facts import MONOTONE_SHARE, ModelQuality

WEAK_SHARE = 0.25  # of the strongest effect: directions below are called weak
INVERTED, NUM_MONOTONE = "psnr_inverted_noise_db", "num_visible_monotone"
ONE_DRAW = "explained_variance_random_noise"
CAPTION = "the noise map alone gives as much with a useless code, so it is no sign of quality"
NAMES = {
    "explained_variance_code": "code explains",
    ONE_DRAW: "one image drawn from the code explains",
    "explained_variance_preview": "co-pilot explains",
    NUM_MONOTONE: "monotone directions",
    INVERTED: "inverted noise",
}


def quality_figures(quality: ModelQuality, directions: Sequence[Direction]) -> dict[str, float]:
    """The known figures that `NAMES` names, in its order; the count is that of the directions."""
    values = {**quality.to_dict(), NUM_MONOTONE: count_monotone(directions)}
    return {key: values[key] for key in NAMES if values.get(key) is not None}


def describe_quality(
    quality: ModelQuality, directions: Sequence[Direction]
) -> list[tuple[str, str]]:
    """Names and values for reading: what was evaluated, the known figures, then all others.

    Nested figures are left out.
    """
    lines = []
    if quality.num_images is not None:
        lines.append(("measured on", f"{quality.num_images} {evaluated_on(quality)}"))
    for key, value in quality_figures(quality, directions).items():
        text = f"{value:g}"
        if key == INVERTED:
            text = f"{value:.1f} dB PSNR; {CAPTION}"
        elif key.startswith("explained"):
            text = explained(value)
        lines.append((NAMES[key], text))
    lines += [
        (key.replace("_", " "), str(value))
        for key, value in quality.other.items()
        if not isinstance(value, Mapping)
    ]
    return lines


def explains_nothing(share: float) -> bool:
    """Whether an explained variance is that of something further away than the mean image."""
    return share < 0


def explained(share: float) -> str:
    """An explained variance (1 perfect, 0 as good as the mean image) as part of a sentence."""
    if explains_nothing(share):
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
        reasons.append(f"not monotone on {100 * (1 - monotone_share):.0f} % of the images")
    return ", ".join(reasons)


def evaluated_on(quality: ModelQuality) -> str:
    """The images that the quality was measured on, such as "unseen images"."""
    return "unseen images" if quality.images == "unseen" else f"images {quality.images}".strip()
