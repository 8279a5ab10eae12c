"""The model that a run exports: directions by the finder of its configuration."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from comfyui_cldis.directions.ranking import rank_vectors
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality
from comfyui_cldis.editing.pipeline import encode
from trainer.assemble import assemble
from trainer.config.settings import TrainConfig, load_preset


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    def rank(model, bases, vectors, ranges, **more):
        more |= {"num_steps": 1, "smallest_effect": 0.0}
        return rank_vectors(model, bases[:1], vectors, ranges, **more)

    monkeypatch.setattr("trainer.navigation.result.rank_vectors", rank)
    monkeypatch.setattr("trainer.assemble.measure_quality", lambda *_: ModelQuality())
    monkeypatch.setattr("trainer.assemble.BASE_IMAGES", 2)
    monkeypatch.setattr("trainer.assemble.INVERSION_STEPS", 2)
    monkeypatch.setattr("trainer.model_quality.DIRECTION_STEPS", 1)


def export(model, directions: str, logged: list[str], copilot_only: bool = False, evaluated=None):
    config = replace(
        load_preset("tiny32"), model=model.networks.config, directions=directions, seed=3
    ).with_values({"loop.copilot_only": copilot_only})
    images = np.random.default_rng(0).integers(0, 255, (48, 32, 32, 3), dtype=np.uint8)
    evaluated = evaluated or (torch.zeros(1, 3, 32, 32), "unseen")
    return assemble(
        model.networks, config, images, ModelFacts(name="tiny"), evaluated, logged.append
    )


def test_the_finder_of_the_configuration_is_used_and_recorded(tiny_model):
    logged: list[str] = []
    exported = export(tiny_model, "jacobian", logged)
    vectors = torch.tensor([direction.vector for direction in exported.directions])
    assert len(vectors) >= 2
    assert torch.allclose(vectors @ vectors.T, torch.eye(len(vectors)), atol=1e-4)
    assert float(vectors.abs().max()) < 0.9999  # no axis
    assert all(direction.quality.monotone is not None for direction in exported.directions)
    assert all(direction.thumbnails is not None for direction in exported.directions)
    recorded = exported.facts.navigation
    assert (recorded["finder"], recorded["seed"]) == ("jacobian", 3)
    assert "Looking for directions with the finder jacobian." in logged


def test_the_default_compares_finders_and_tells_which_it_chose(tiny_model, monkeypatch):
    monkeypatch.setattr("trainer.navigation.auto.CANDIDATES", ("axes", "joint"))
    monkeypatch.setattr("trainer.navigation.auto.HELD_OUT", 2)
    logged: list[str] = []
    exported = export(tiny_model, TrainConfig().directions, logged)
    recorded = exported.facts.navigation
    assert recorded["finder"] == "auto" and recorded["chosen"] in ("axes", "joint")
    assert list(recorded["separation"]) == ["axes", "joint"] and recorded["left_out"] == {}
    choice = f"The finder auto chose {recorded['chosen']}; content tracking on held-out images"
    assert any(sentence.startswith(choice) for sentence in logged)


def test_sliders_are_measured_on_images_of_all_that_are_held_out(tiny_model, monkeypatch):
    """Images lie in the order of their names, so the first ones may all be of one subfolder."""
    encoded: list[torch.Tensor] = []

    def watched(model, images, **more):
        encoded.append(images)
        return encode(model, images, **more)

    monkeypatch.setattr("trainer.assemble.encode", watched)
    monkeypatch.setattr("trainer.assemble.EVALUATION_BASES", 3)
    numbered = torch.linspace(-1, 1, 9).reshape(9, 1, 1, 1).expand(9, 3, 32, 32)
    assert export(tiny_model, "jacobian", [], evaluated=(numbered, "unseen")).directions
    assert torch.equal(encoded[-1], numbered[[0, 4, 8]])


def test_a_model_without_anything_to_find_is_exported_without_directions(make_model):
    model = make_model()
    for parameter in model.networks.unet.parameters():
        parameter.data.zero_()
    logged: list[str] = []
    exported = export(model, "weights", logged)
    assert exported.directions == ()
    assert any("The model has no directions" in sentence for sentence in logged)


@pytest.mark.parametrize("finder", ["axes", "jacobian"])
def test_an_untrained_decoder_is_not_measured(make_model, monkeypatch, finder):
    model = make_model()
    monkeypatch.setattr(type(model.networks), "predict", lambda *_: pytest.fail("it was drawn"))
    logged: list[str] = []
    exported = export(model, finder, logged, copilot_only=True)
    assert exported.directions == () and exported.facts.quality == ModelQuality()
    assert logged == [
        "Only the co-pilot was trained, so neither directions nor quality are measured."
    ]


def test_an_unknown_finder_is_refused_before_the_run():
    with pytest.raises(ValueError, match="directions is 'best'. Use one of axes, pca"):
        TrainConfig().with_values({"directions": "best"})
