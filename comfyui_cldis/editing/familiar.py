"""Whether images are like those a model was trained on; edits of others may not look right.

The co-pilot redraws what it knows. Of nearly all images of the kind it was trained on it explains
at least what its file says; of others far less, mostly less than their mean colour does
(docs/results.md, "Images that a model does not know").
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from ..model.build import copilot_of
from ..warning import UnfamiliarImageWarning
from .editable import EditableModel
from .facts import ModelQuality

MARGIN = 0.25  # of the variance, below what is explained of nearly all images of the model's kind
MARGIN_OF_ALL = 0.5  # below what is explained of all at once; of files that say no more
LEAST_VARIANCE = 0.02  # of an image in [-1, 1]; of flatter ones noise would be asked for


@torch.no_grad()
def explained_by_copilot(model: EditableModel, images: Tensor) -> Tensor:
    """Share (B,) of the variance of each image about its mean colour that the co-pilot redraws.

    Its code is what its encoder gives, as `TrainingFacts.has_copilot_code` tells.

    Args:
        images: (B, C, S, S) in [-1, 1]; at most 1, and below 0 where the mean colour is closer.
    """
    networks, copilot = model.networks, copilot_of(model.networks)
    small = copilot.resize(images.float().to(networks.device))
    code = copilot.encode(small.to(networks.dtype)).mu
    redrawn = copilot.decode(code.to(networks.dtype)).float().clamp(-1, 1)
    error = (redrawn - small).square().mean((1, 2, 3))
    variance = (small - small.mean((2, 3), keepdim=True)).square().mean((1, 2, 3))
    return (1 - error / variance.clamp(min=LEAST_VARIANCE)).cpu()


def unfamiliar(model: EditableModel, images: Tensor) -> list[int]:
    """Which of the images (B, C, S, S) in [-1, 1] are unlike those that the model was trained on.

    An empty list where the model has no co-pilot, its encoder alone does not give its code, or the
    file does not say what it explains.
    """
    bound = least_share(model.facts.quality)
    is_known = model.networks.has_copilot and model.facts.training.has_copilot_code
    if bound is None or not is_known:
        return []
    share = explained_by_copilot(model, images)
    return [index for index, each in enumerate(share.tolist()) if each < bound]


def least_share(quality: ModelQuality) -> float | None:
    """The share of an image's variance below which a model with these figures does not know it."""
    if quality.least_explained_preview is not None:
        return quality.least_explained_preview - MARGIN
    if quality.explained_variance_preview is not None:
        return quality.explained_variance_preview - MARGIN_OF_ALL
    return None


def unfamiliar_text(name: str, positions: Sequence[int], count: int) -> str:
    """What to tell of the images at `positions` of `count`; "" for none.

    Args:
        name: of the model.
    """
    if not positions:
        return ""
    if count == 1:
        which = "The image seems"
    elif len(positions) == count:
        which = "The images seem"
    else:
        shown = ", ".join(str(each + 1) for each in positions[:8])
        more = ", ..." if len(positions) > 8 else ""
        verb = "seems" if len(positions) == 1 else "seem"
        which = f"{len(positions)} of the {count} images (number {shown}{more}) {verb}"
    those = "it" if count == 1 else "them"
    return (
        f"{which} unlike those that {name} was trained on, so edits may not look right. Choose a "
        f"model of such images, or crop {those} to what this one knows."
    )


def warn_of_unfamiliar(model: EditableModel, images: Tensor) -> None:
    """An `UnfamiliarImageWarning` if any of the images (B, C, S, S) is unlike those trained on."""
    text = unfamiliar_text(model.name, unfamiliar(model, images), len(images))
    if text:
        warnings.warn(text, UnfamiliarImageWarning, stacklevel=3)
