"""New images: what decides them, and that they can be edited."""

from dataclasses import replace

import pytest
import torch

from comfyui_cldis.editing.pipeline import decode, edit
from comfyui_cldis.editing.render import render
from comfyui_cldis.editing.sampling import sample_images


def test_images_are_drawn_from_their_codes_and_noise(tiny_model):
    latent = sample_images(tiny_model, 2, 5, sampler="ddim", num_steps=3)
    assert latent.z.shape == (2, 4) and latent.x_T.shape == (2, 3, 32, 32)
    drawn = decode(tiny_model, latent, sampler="ddim", num_steps=3)
    for index, image in enumerate(render(tiny_model, latent)):
        assert torch.allclose(image * 2 - 1, drawn[index], atol=1e-6)
        assert torch.equal(latent.sources[index].code, latent.z[index])


def test_an_image_depends_on_its_own_seed(tiny_model):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    three = sample_images(tiny_model, 3, 7, num_steps=2)
    assert torch.equal(torch.get_rng_state(), state)
    alone = sample_images(tiny_model, 1, 9, num_steps=2)
    assert torch.equal(three.z[2:], alone.z) and torch.equal(three.x_T[2:], alone.x_T)
    assert torch.allclose(three.sources[2].pixels, alone.sources[0].pixels, atol=1e-5)
    assert not torch.equal(three.z[0], three.z[1])


def test_truncation_scales_the_code_and_not_the_noise(tiny_model):
    mean, std = tiny_model.statistics.mean, tiny_model.statistics.std
    none, some, more = (
        sample_images(tiny_model, 2, 0, truncation=t, num_steps=1) for t in (0, 0.3, 0.6)
    )
    assert torch.equal(none.z, mean.expand(2, 4))
    assert torch.allclose(more.z - mean, 2 * (some.z - mean), atol=1e-5)
    assert torch.equal(none.x_T, more.x_T)
    assert not torch.allclose((some.z - mean) / (0.3 * std), some.x_T.flatten(1)[:, :4], atol=1e-3)


def test_codes_stay_where_training_was(tiny_model):
    statistics = replace(
        tiny_model.statistics,
        low=tiny_model.statistics.mean - 0.1,
        high=tiny_model.statistics.mean + 0.2,
    )
    z = sample_images(replace(tiny_model, statistics=statistics), 20, 0, num_steps=1).z
    assert bool((z >= statistics.low).all()) and bool((z <= statistics.high).all())
    assert float(z.std()) > 0.05


def test_samples_are_edited_like_encoded_images(tiny_model):
    latent = sample_images(tiny_model, 1, 0, num_steps=2)
    moved = render(tiny_model, edit(tiny_model, latent, {"yaw": 1.0}), method="tracked")[0]
    assert moved.shape == (3, 32, 32) and not torch.equal(moved, latent.sources[0].pixels)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"truncation": 2}, ValueError, "The truncation is 2. Give a number from 0 to 1.5"),
        ({"truncation": float("nan")}, ValueError, "The truncation is nan"),
        ({"count": 0}, ValueError, "number of images is 0. Give at least 1"),
        ({"count": 1.5}, TypeError, "number of images is 1.5. Give a whole"),
        ({"seed": -1}, ValueError, "Seed -1 is out of range"),
        ({"sampler": "euler"}, ValueError, "Unknown sampler"),
    ],
)
def test_what_is_refused(tiny_model, given, error, sentence):
    with pytest.raises(error, match=sentence):
        sample_images(tiny_model, **({"count": 1, "seed": 0} | given))
