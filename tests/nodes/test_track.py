"""The node: what it draws, what it says, and that it can be cancelled."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

pytest.importorskip("cv2")

from comfyui_cldis.editing.facts import ModelFacts, ModelQuality, TrainingFacts
from comfyui_cldis.nodes import host, track
from comfyui_cldis.nodes.sockets import LoadedModel
from comfyui_cldis.tracking import TrackingSettings


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    settings = TrackingSettings(num_bases=2, num_steps=1, num_coverage=3)
    monkeypatch.setitem(track.QUALITIES, "fast", settings)


@pytest.fixture
def loaded(tiny_model):
    return LoadedModel("tiny.safetensors", tiny_model)


def run(model, **given):
    return track.TrackContent().execute(model, "model", "fast", 7, **given)


def test_images_of_any_size_give_a_sheet_a_score_and_a_report(loaded):
    images = torch.rand(4, 24, 40, 3, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    sheet, score, report = run(loaded, image=images)
    assert torch.equal(images, before)
    assert sheet.dtype == torch.float32 and sheet.shape[0] == 1 and sheet.shape[-1] == 3
    assert sheet.shape[2] > 8 * 96 and sheet.min() >= 0 and 0.9 < sheet.max() <= 1
    assert score == 0  # random weights explain nothing
    assert "hair length" in report and "seed 7" in report


def test_without_images_the_score_is_zero_unknown_or_from_the_file(loaded):
    _, score, report = run(loaded)
    assert math.isnan(score) == ("score unknown" in report)
    facts = ModelFacts(quality=ModelQuality(explained_variance_random_noise=0.5))
    model = dataclasses.replace(loaded.editable, facts=facts)
    _, score, report = run(LoadedModel("tiny", model))
    assert 0 <= score <= 0.5 and "| coverage | 0.500 |" in report


@pytest.mark.parametrize(("rule", "brightest"), [("crop", -1), ("pad", 1), ("stretch", 1)])
def test_images_are_made_square_as_in_training(loaded, monkeypatch, rule, brightest):
    class Seen(Exception):
        pass

    def track_nothing(model, images, *settings, **more):
        raise Seen(images)

    monkeypatch.setattr(track, "track", track_nothing)
    wide = torch.zeros(2, 20, 40, 3)
    wide[:, :, :10] = 1  # which "crop" cuts off
    facts = ModelFacts(training=TrainingFacts(config={"resize": rule}))
    model = dataclasses.replace(loaded.editable, facts=facts)
    with pytest.raises(Seen) as seen:
        run(LoadedModel("tiny", model), image=wide)
    (images,) = seen.value.args
    assert images.shape == (2, 3, 32, 32) and float(images.max()) == brightest


def test_cancel_stops_it(loaded, monkeypatch):
    class Cancelled(Exception):
        pass

    def cancel():
        raise Cancelled

    monkeypatch.setattr(host, "raise_if_interrupted", cancel)
    with pytest.raises(Cancelled):
        run(loaded)


def test_a_single_image_is_refused_in_words(loaded):
    with pytest.raises(ValueError, match="got 1 images. Give at least 2"):
        run(loaded, image=torch.rand(1, 32, 32, 3))
