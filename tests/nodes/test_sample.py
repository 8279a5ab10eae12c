"""The node that draws new images."""

from __future__ import annotations

import pytest
import torch

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS
from comfyui_cldis.nodes.sockets import LoadedModel


def sampled(loaded, **given):
    node = NODE_CLASS_MAPPINGS["CLDIS_Sample"]()
    settings = {"batch_size": 2, "seed": 3, "truncation": 0.7, "sampler": "ddim", "steps": 2}
    return node.execute(loaded, **{**settings, **given})


def test_latent_and_images_belong_together(loaded, run) -> None:
    latent, image = sampled(loaded)
    assert image.shape == (2, 32, 32, 3) and image.dtype == torch.float32
    assert torch.equal(run("CLDIS_Decode", model=loaded, latent=latent, steps=2), image)


def test_a_batch_of_several_parts_equals_its_images(loaded) -> None:
    latent, image = sampled(loaded, batch_size=10, seed=2**64 - 3)  # more than one part on a CPU
    for index in (0, 2, 3, 9):
        alone, single = sampled(loaded, batch_size=1, seed=(2**64 - 3 + index) % 2**64)
        assert torch.equal(alone.z[0], latent.z[index])
        assert torch.allclose(single[0], image[index], atol=1e-4)


def test_samples_take_edits(loaded, run) -> None:
    latent, image = sampled(loaded, batch_size=1)
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 2}')
    after = run("CLDIS_Decode", model=loaded, latent=edited, method="tracked")
    assert after.shape == image.shape and not torch.equal(after, image)


def test_a_grey_model_gives_grey_images(make_model) -> None:
    _, image = sampled(LoadedModel("grey.safetensors", make_model(in_channels=1)))
    assert image.shape == (2, 32, 32, 3) and torch.equal(image[..., 0], image[..., 2])


@pytest.mark.parametrize("channels", [4, 16])
def test_a_model_of_latents_is_refused_before_it_draws(make_model, monkeypatch, channels) -> None:
    model = LoadedModel("latents.safetensors", make_model(in_channels=channels))
    monkeypatch.setattr("comfyui_cldis.nodes.sample.sample_images", None)  # not to be called
    with pytest.raises(ValueError, match=f"^latents.* works on {channels}-channel.* Load a model"):
        sampled(model)
