"""Images unlike those that a model was trained on are told apart, in words and in time."""

import warnings
from dataclasses import replace

import pytest
import torch

import comfyui_cldis
from comfyui_cldis.checkpoint import demo_image_paths, demo_model_path, load_checkpoint
from comfyui_cldis.checkpoint.demo import ASSETS
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import ModelQuality
from comfyui_cldis.editing.familiar import (
    explained_by_copilot,
    least_share,
    unfamiliar,
    unfamiliar_text,
)
from comfyui_cldis.editing.framing import frame
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.tensors import to_tensor
from comfyui_cldis.warning import UnfamiliarImageWarning

needs_demo = pytest.mark.skipif(
    not (ASSETS / "heads64.safetensors").is_file(), reason="the demo model is not there"
)


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return load_checkpoint(demo_model_path())


def strange() -> torch.Tensor:
    """(4, 3, 64, 64): noise, stripes, a slope of colours, black."""
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ramp = torch.linspace(-1, 1, 64)
    stripes = (torch.arange(64) % 16 < 8).float().mul(2).sub(1).expand(3, 64, 64)
    slope = torch.stack([ramp[:, None].expand(64, 64), ramp.expand(64, 64), -ramp.expand(64, 64)])
    return torch.stack([noise, stripes, slope, torch.full((3, 64, 64), -1.0)])


@needs_demo
def test_heads_are_known_and_other_images_are_not(model):
    heads = [to_tensor(read_image(path, 3).image) for path in demo_image_paths()]
    heads = torch.cat([frame(image, 64, "crop")[0] for image in heads])
    assert float(explained_by_copilot(model, heads).min()) > 0.8
    mixed = torch.cat([heads[:1], strange()[:2], heads[1:], strange()[2:]])
    count = len(heads)
    assert unfamiliar(model, mixed) == [1, 2, count + 2, count + 3]
    assert unfamiliar(model, heads) == []


@needs_demo
def test_a_file_that_says_nothing_of_its_copilot_is_not_compared_with(model):
    facts = replace(
        model.facts, quality=replace(model.facts.quality, explained_variance_preview=None)
    )
    assert unfamiliar(replace(model, facts=facts), strange()) == []


@needs_demo
def test_the_library_warns_and_stays_silent_for_heads(model):
    demo = comfyui_cldis.load_model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demo.encode(demo_image_paths()[0], inversion_steps=0)
    noise = strange()[0].add(1).div(2)
    with pytest.warns(UnfamiliarImageWarning, match="The image seems unlike") as found:
        demo.encode(noise, inversion_steps=0)
    assert found[0].filename == __file__
    with pytest.warns(UnfamiliarImageWarning, match=r"1 of the 2 images \(number 2\) seems unlike"):
        demo.encode([demo_image_paths()[0], noise], inversion_steps=0)


def test_the_words():
    assert unfamiliar_text("heads", [], 3) == ""
    assert "The images seem unlike those that heads" in unfamiliar_text("heads", [0, 1], 2)
    assert "10 of the 20 images (number 1, 2, 3, 4, 5, 6, 7, 8, ...) seem" in unfamiliar_text(
        "heads", list(range(10)), 20
    )


def test_single_images_count_where_a_file_tells_of_them():
    """Images that differ in colour as a whole are explained better all at once than each alone."""
    assert least_share(ModelQuality()) is None
    assert least_share(ModelQuality(explained_variance_preview=0.8)) == pytest.approx(0.3)
    told = ModelQuality(explained_variance_preview=0.8, least_explained_preview=0.1)
    assert least_share(told) == pytest.approx(-0.15)
