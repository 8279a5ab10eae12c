"""Tracking a trained model: its bases, its coverage, and the names of its axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("cv2")

from comfyui_cldis.editing.code_path import CodePath
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality
from comfyui_cldis.editing.pipeline import decode
from comfyui_cldis.tracking import FAST, TrackingSettings, track
from comfyui_cldis.tracking.model import (
    bases_from_images,
    bases_from_prior,
    model_vectors,
    recorded_coverage,
)
from tests.pretended_device import DEVICE, pretended

QUICK = TrackingSettings(num_bases=2, num_steps=2, num_coverage=4)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def test_bytes_and_floats_are_the_same_images(tiny_model, images):
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    first = bases_from_images(tiny_model, images, QUICK, 3)
    second = bases_from_images(tiny_model, floats, QUICK, 3)
    assert first.num_bases == 2 and torch.equal(first.latent.z, second.latent.z)
    third = bases_from_images(tiny_model, torch.from_numpy(images), QUICK, 3)
    assert torch.equal(first.latent.z, third.latent.z)
    assert first.measured is not None and first.measured.shape == (4, 3, 32, 32)
    assert not torch.equal(first.latent.z, bases_from_images(tiny_model, images, QUICK, 4).latent.z)


def test_a_shift_is_in_standard_deviations_and_keeps_the_noise(tiny_model, images):
    generator = bases_from_images(tiny_model, images, QUICK, 0)
    shift = torch.tensor([[0.0, 2.0, 0.0, 0.0]])
    moved = generator.latent[1:2]
    moved = moved.with_z(moved.z + shift * tiny_model.statistics.std)
    expected = decode(tiny_model, moved, sampler="ddim", num_steps=2)
    assert torch.equal(generator.decode(torch.tensor([1]), shift), expected)


def test_coverage_is_the_share_of_variance_that_the_code_explains(tiny_model, images):
    generator = bases_from_images(tiny_model, images, QUICK, 0)
    assert generator.coverage(0) == 0  # random weights explain nothing


def test_images_that_are_all_the_same_have_nothing_to_explain(tiny_model, images):
    same = images[:1].repeat(4, axis=0)
    with pytest.raises(ValueError, match="The 4 images .* all the same. Give images that differ"):
        track(tiny_model, same, QUICK)
    unmeasured = replace(QUICK, num_coverage=0)
    assert bases_from_images(tiny_model, same, unmeasured, 0).coverage(0) is None
    differing = np.concatenate([same[:3], images[1:2]])
    assert bases_from_images(tiny_model, differing, QUICK, 0).coverage(0) == 0


def test_without_images_the_recorded_coverage_stands_in(tiny_model):
    facts = ModelFacts(quality=ModelQuality(explained_variance_random_noise=0.75))
    model = replace(tiny_model, facts=facts)
    assert bases_from_prior(model, QUICK, 0).coverage(0) == 0.75
    assert recorded_coverage(tiny_model) is None
    assert recorded_coverage(replace(tiny_model, facts=ModelFacts())) is None


def test_drawn_codes_and_their_noise_are_independent(tiny_model):
    settings = TrackingSettings(num_bases=200, num_steps=1)
    latent = bases_from_prior(tiny_model, settings, 0).latent
    statistics = tiny_model.statistics
    assert latent.x_T is not None
    assert torch.all(latent.z >= statistics.low) and torch.all(latent.z <= statistics.high)
    first = latent.x_T.flatten(1)[:, :4]
    for code, noise in zip(latent.z.T, first.T, strict=True):
        assert abs(torch.corrcoef(torch.stack([code, noise]))[0, 1]) < 0.3


def test_axes_are_called_as_the_sliders_that_they_are(tiny_model):
    axes = model_vectors(tiny_model, "axes")
    assert list(axes) == ["yaw", "hair length", "code 2", "code 3"]
    assert torch.equal(torch.tensor(list(axes.values())), torch.eye(4))
    assert list(model_vectors(tiny_model, "model")) == ["hair length", "yaw"]
    turned = replace(
        tiny_model, directions=tuple(each.reversed() for each in tiny_model.directions)
    )
    assert model_vectors(turned, "axes") == axes
    with pytest.raises(ValueError, match="no directions. Track the axes"):
        model_vectors(replace(tiny_model, directions=()), "model")


def test_the_models_own_bent_directions_are_tracked_along_their_paths(tiny_model, images):
    turned = CodePath((-3, 0, 3), ((0, 3, 0, 0), (0, 0, 0, 0), (0, 0, 3, 0)))
    own = (replace(tiny_model.directions[0], path=turned), *tiny_model.directions[1:])
    settings = replace(QUICK, directions="model")
    bent = track(replace(tiny_model, directions=own), images, settings).to_json()
    straight = track(tiny_model, images, settings).to_json()
    assert bent["directions"][0]["change"] != straight["directions"][0]["change"]
    assert bent["directions"][1]["change"] == straight["directions"][1]["change"]


def test_a_model_is_tracked_and_repeats(tiny_model, images):
    first = track(tiny_model, images, QUICK, 5)
    second = track(tiny_model, images, QUICK, 5)
    assert first.to_json() == second.to_json()
    assert first.settings["seed"] == 5 and len(first.directions) == 4
    assert first.cts == 0 and first.coverage == 0


@pytest.mark.parametrize("seed", [2**32, 2**64 - 1])
def test_the_seed_may_be_any_of_64_bits(tiny_model, images, seed):
    assert track(tiny_model, images, QUICK, seed).settings["seed"] == seed
    assert track(tiny_model, None, QUICK, seed).settings["seed"] == seed


def test_images_on_another_device_are_tracked_as_on_the_cpu(tiny_model, images):
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    wanted = track(tiny_model, floats, QUICK, 5).to_json()
    with pretended():
        assert track(tiny_model, floats.to(DEVICE), QUICK, 5).to_json() == wanted


def test_the_wrong_images_or_models_are_refused_in_words(tiny_model, make_model, images):
    with pytest.raises(ValueError, match="got 1 images. Give at least 2"):
        track(tiny_model, images[:1], QUICK)
    with pytest.raises(ValueError, match="int64 of shape"):
        track(tiny_model, images.astype(np.int64), QUICK)
    with pytest.raises(ValueError, match=r"torch.int64 of shape \(6, 32, 32, 3\)"):
        track(tiny_model, torch.from_numpy(images).long(), QUICK)
    with pytest.raises(ValueError, match=r"needs \(B, 3, 32, 32\)"):
        track(tiny_model, images[:, :16], QUICK)
    with pytest.raises(ValueError, match="draws 4 channels, not images"):
        track(make_model(in_channels=4), None, FAST)
