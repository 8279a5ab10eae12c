"""How far the benchmark of lifting moves a slider."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.lifting import moved_towards
from comfyui_cldis.editing.amount_scale import AmountScale
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import edit


def test_a_slider_with_a_scale_is_moved_all_the_way(tiny_model):
    first, *others = tiny_model.directions
    scale = AmountScale((-3.0, 0.0, 3.0), (-1.0, 0.0, 6.0))
    model = replace(tiny_model, directions=(replace(first, scale=scale), *others))
    latent = Latent(torch.zeros(2, len(model.statistics.std)))
    wanted = edit(model, latent, [{first.name: 1.0}, {first.name: -2.0}])
    moved = moved_towards(model, latent, wanted, first.name)
    assert moved.z.tolist() == [pytest.approx(row, abs=1e-5) for row in wanted.z.tolist()]
