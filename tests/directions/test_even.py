"""Even sliders, on a co-pilot whose answer to the code is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from comfyui_cldis.directions.even import (
    draws_previews,
    even_direction,
    even_directions,
    even_scale,
    straight_direction,
)
from comfyui_cldis.editing.amount_scale import AmountScale
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import edit, preview
from comfyui_cldis.imaging.lab import lab_change, to_lab


def with_grey(model, grey):
    """The model whose preview is one grey, given by the first number of the code."""
    size = model.networks.config.image_size

    class Copilot(torch.nn.Module):
        def decode(self, z):
            return grey(z[:, 0]).clamp(-1, 1).view(-1, 1, 1, 1).expand(-1, 3, size, size)

    model.networks.copilot = Copilot()
    return model


@pytest.fixture
def model(tiny_model):
    import copy

    tiny = copy.deepcopy(tiny_model)
    ones = torch.ones_like(tiny.statistics.std)
    statistics = replace(tiny.statistics, mean=0 * ones, std=ones)
    vector = (1.0, *[0.0] * (len(ones) - 1))
    direction = Direction("grey", vector, -3.0, 3.0)
    return replace(tiny, statistics=statistics, directions=(direction,))


def steps_of(model, amounts):
    latent = Latent(torch.zeros(1, len(model.statistics.std)))
    drawn = torch.cat([preview(model, edit(model, latent, {"grey": at})) for at in amounts])
    lab = to_lab(drawn)
    return lab_change(lab[:-1], lab[1:])


def test_equal_steps_make_equal_changes(model):
    bent = with_grey(model, lambda u: 0.2 * u.sign() * (0.4 * u.abs() + 0.3 * u.abs() ** 2))
    latent = Latent(torch.zeros(2, len(model.statistics.std)))
    before = steps_of(bent, torch.linspace(-3, 3, 9).tolist())
    assert float(before.max() / before.min()) > 3
    even = even_directions(bent, latent)
    slider = even.directions[0]
    assert slider.scale is not None and slider.scale.distances[-1] == 3.0
    after = steps_of(even, np.linspace(slider.minimum, slider.maximum, 9).tolist())
    assert float(after.max() / after.min()) < 1.2
    # the mean step of a slider stays one standard deviation
    assert slider.maximum - slider.minimum == pytest.approx(6.0, abs=0.02)
    # no edit is no change, and evening twice changes nothing
    assert edit(even, latent, {"grey": 0.0}).z is latent.z
    assert even_directions(even, latent).directions == even.directions


def test_the_range_ends_where_nothing_more_is_seen(model):
    flat = with_grey(model, lambda u: 0.5 * u.clamp(-1.5, 1.5))
    even = even_directions(flat, Latent(torch.zeros(1, len(model.statistics.std))))
    slider = even.directions[0]
    assert slider.displacement(slider.maximum)[0] == pytest.approx(1.5, abs=0.01)
    assert slider.displacement(slider.minimum)[0] == pytest.approx(-1.5, abs=0.01)


def test_a_side_on_which_nothing_is_seen_keeps_a_range(model):
    one_sided = with_grey(model, lambda u: 0.2 * u.clamp(min=0))
    slider = even_directions(one_sided, Latent(torch.zeros(1, 4))).directions[0]
    assert slider.minimum < 0 < slider.maximum
    assert slider.displacement(slider.minimum)[0] == pytest.approx(-0.75, abs=0.1)


def test_a_direction_that_changes_no_preview_stays(model):
    still = with_grey(model, lambda u: 0 * u)
    latent = Latent(torch.zeros(1, 4))
    assert even_directions(still, latent).directions == model.directions
    scale = AmountScale((-1.0, 0.0, 4.0), (-3.0, 0.0, 3.0))
    scaled = replace(model.directions[0], scale=scale, minimum=-1.0, maximum=4.0)
    assert even_direction(still, latent, scaled) == scaled


def test_a_straight_direction_has_no_scale_and_the_same_ends(model):
    plain = model.directions[0]
    assert straight_direction(plain) == plain
    scaled = replace(plain, scale=AmountScale((-1.0, 0.0, 4.0), (-3.0, 0.0, 3.0)), minimum=-1.0)
    assert straight_direction(scaled) == plain


def test_a_straight_answer_needs_no_bends():
    scale = even_scale(np.linspace(-2, 2, 9), np.full(8, 3.0))
    assert scale is not None and scale.amounts == scale.distances


def test_a_model_without_a_good_preview_is_told_by_its_figures(model):
    quality = model.facts.quality
    for explained, told in ((None, False), (0.1, False), (0.6, True)):
        facts = replace(model.facts, quality=replace(quality, explained_variance_preview=explained))
        assert draws_previews(replace(model, facts=facts)) is told
