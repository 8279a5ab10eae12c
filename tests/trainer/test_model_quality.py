"""The figures of a model as a whole."""

from dataclasses import replace

import pytest
import torch

from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.editing.familiar import unfamiliar
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, encode
from comfyui_cldis.evaluate import evaluate_model
from trainer.model_quality import explained_by_code, explained_variance, measure_quality


def test_what_the_code_explains_is_drawn_without_a_residual_code(tiny_model):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean = torch.zeros(3, 32, 32)
    latent = encode(tiny_model, images, inversion_steps=0)
    options = {"sampler": MEASURING_SAMPLER, "num_steps": 1, "seed": 0}
    alone = decode(tiny_model, Latent(latent.z), **options)
    assert not torch.equal(alone, decode(tiny_model, latent, **options))
    found = measure_quality(tiny_model, images, mean, "", num_steps=1)
    wanted = round(explained_variance(images, alone, mean), 4)
    assert found.explained_variance_random_noise == wanted


def test_a_code_that_the_encoder_alone_does_not_give_is_not_measured(tiny_model):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    training = replace(tiny_model.facts.training, config={"objective": {"name": "joint"}})
    model = replace(tiny_model, facts=replace(tiny_model.facts, training=training))
    mean = torch.zeros(3, 32, 32)
    plain, joint = (
        measure_quality(each, images, mean, "", num_steps=1) for each in (tiny_model, model)
    )
    assert plain.least_explained_preview is not None and joint.least_explained_preview is None
    assert unfamiliar(replace(model, facts=replace(model.facts, quality=plain)), images) == []
    with pytest.raises(ValueError, match="not in its file.*Score the semantic code"):
        evaluate_model(model, "shapes3d-equivalent", ["mig"], codes="copilot")


def test_what_the_code_does_not_hold_counts_once_however_it_is_made_up():
    """Images of which the code holds 60 %, and draws that make up the rest as a perfect sampler."""
    generator = torch.Generator().manual_seed(0)
    held, rest, *others = torch.randn(4, 64, 3, 32, 32, generator=generator)
    images = 0.6**0.5 * held + 0.4**0.5 * rest
    draws = [0.6**0.5 * held + 0.4**0.5 * other for other in others]
    mean = torch.zeros(3, 32, 32)
    assert explained_by_code(images, (draws[0], draws[1]), mean) == pytest.approx(0.6, abs=0.01)
    assert explained_variance(images, draws[0], mean) == pytest.approx(0.2, abs=0.01)
    exact = (images, images)
    assert explained_by_code(images, exact, mean) == 1
