"""What a step along each axis of the code changes in an image: what moves, what is recoloured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from comfyui_cldis.imaging.lab import to_lab
from comfyui_cldis.tracking.effects import GRID, measure_effects
from comfyui_cldis.tracking.flow import flow_method
from comfyui_cldis.tracking.scales import CHANNEL_FLOORS

from ..training.batches import step_generator
from .space import Space

REACH = 0.7  # standard deviations to either side: nearly linear, and seen above the flow's noise
LARGEST_SIDE = 128  # pixels; larger images are measured at this size
STREAM = 97
# Where content tracking calls a channel weak, in the order of a row: motion twice, L, a and b. In
# these units a channel weaker than EMPTY of the strongest one is empty: heads and rooms have .05
# and more, the chroma of grey images, which is rounding, .00005.
WEAK = torch.tensor(CHANNEL_FLOORS, dtype=torch.float64)[[0, 1, 2, 3, 3]].view(-1, 1, 1)
EMPTY = 0.01


@torch.no_grad()
def axis_effects(
    space: Space,
    dimensions: Tensor,
    items: Tensor,
    seed: int,
    on_axis: Callable[[], object] = lambda: None,
) -> Tensor:
    """Effects (M, F) of one standard deviation along M dimensions of the code, float64.

    A row holds, for each of B base items, NUM_SIGNED channels at GRID x GRID cells as
    `tracking.effects` measures them: motion across and down, then what changed in CIELAB after
    that motion is undone. Each channel has the mean square 1 over all rows, so that pixels and
    colours weigh alike; one that changes in next to nothing beside the others is 0.

    Args:
        dimensions: (M,) long.
        items: (B,) long, base items of the space.
        on_axis: called after each dimension.

    Raises:
        ValueError: images of fewer than GRID pixels, or of other than 1 or 3 channels.
        ModuleNotFoundError: OpenCV is not installed.
    """
    method = flow_method("dis")
    scene = space.scene(items, step_generator(seed, 0, STREAM))
    base = space.codes[items.to(space.codes.device)]
    rows = []
    for dimension in dimensions.tolist():
        shift = torch.zeros_like(base[0])
        shift[dimension] = REACH
        low, high = measured_images(scene(base - shift)), measured_images(scene(base + shift))
        rows.append(measure_effects(method, low, high).signed / (2 * REACH))
        on_axis()
    effects = torch.stack(rows).double()  # (M, B, NUM_SIGNED, GRID, GRID)
    scale = effects.square().mean(dim=(0, 1, 3, 4), keepdim=True).sqrt()
    strength = scale / WEAK
    is_empty = (scale == 0) | (strength < EMPTY * strength.max())
    return (effects / torch.where(is_empty, torch.inf, scale)).flatten(1)


def measured_images(images: Tensor) -> Tensor:
    """What effects are measured on: CIELAB (B, 3, H, W) on the CPU of at most LARGEST_SIDE pixels.

    Args:
        images: (B, C, H, W) in [-1, 1].

    Raises:
        ValueError: images of fewer than GRID pixels.
    """
    height, width = images.shape[-2:]
    if min(height, width) < GRID:
        raise ValueError(
            f"The images are {width} x {height} pixels; their effects are measured at "
            f"{GRID} x {GRID} places. Use a model of larger images, or another finder."
        )
    lab = to_lab(images).cpu()
    factor = LARGEST_SIDE / max(height, width)
    if factor < 1:
        size = [max(1, round(factor * side)) for side in (height, width)]
        lab = functional.interpolate(lab, size=size, mode="area")
    return lab
