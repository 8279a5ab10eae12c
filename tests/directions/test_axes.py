"""Axes as directions."""

import torch

from comfyui_cldis.directions.axes import find_axes
from comfyui_cldis.editing.pipeline import encode


def test_axes_are_ordered_active_and_ranged(tiny_model):
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    latent = encode(tiny_model, images, inversion_steps=3)
    found = find_axes(tiny_model, latent, num_steps=3, smallest_effect=0.0)
    assert len(found) == 4 and len({direction.name for direction in found}) == 4
    effects = [direction.effect for direction in found]
    assert effects == sorted(effects, reverse=True)
    for direction in found:
        assert sum(direction.vector) == 1.0 and -4 <= direction.minimum < 0 < direction.maximum <= 4
    middle = (effects[1] + effects[2]) / 2
    assert len(find_axes(tiny_model, latent, num_steps=3, smallest_effect=middle)) == 2
    assert find_axes(tiny_model, latent, num_steps=3, smallest_effect=2.0) == ()
