"""Which dimensions of the code change the image at all; a search drops the others first."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.evenly import evenly
from ..training.batches import step_generator
from .space import Space

NUM_ITEMS = 16
MOST_LOOKS = 1024  # dimensions times items: a code of hundreds of scalars is tried on few
DEAD_SHARE = 0.005  # of the strongest dimension's effect; dead ones had a tenth of that
LEAST_EFFECT = 1e-4  # of the strongest, in [0, 2] image units
STREAM = 71


class Active(NamedTuple):
    """Dimensions (M,) long, strongest first, and the effects (N,) of all, in [0, 2] image units."""

    dimensions: Tensor
    effects: Tensor


@torch.no_grad()
def active_dimensions(space: Space, seed: int) -> Active:
    """Compare the images of some items at -1 and +1 sd of each dimension.

    Raises:
        ValueError: no dimension changes the image.
    """
    count = max(1, min(NUM_ITEMS, MOST_LOOKS // space.codes.shape[1]))
    items = torch.from_numpy(evenly(len(space.codes), count))
    scene = space.scene(items, step_generator(seed, 0, STREAM))
    base = space.codes[items.to(space.codes.device)]
    effects = []
    for shift in torch.eye(base.shape[1], device=base.device):
        effects.append(float((scene(base + shift) - scene(base - shift)).abs().mean()))
    measured = torch.tensor(effects)
    strongest = float(measured.max())
    if not strongest > LEAST_EFFECT:
        raise ValueError(
            "No dimension of the code changes the image, so there is no direction to find. "
            "Train the model longer."
        )
    order = measured.argsort(descending=True, stable=True)
    return Active(order[measured[order] >= DEAD_SHARE * strongest], measured)
