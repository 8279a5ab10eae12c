"""The bundled model: its bars, measured again on a few heads it has not seen."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from comfyui_cldis import cli
from comfyui_cldis.checkpoint import demo_image_paths, demo_model_path, load_checkpoint, read_header
from comfyui_cldis.checkpoint.demo import ASSETS
from comfyui_cldis.checkpoint.summary import as_json, as_text
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.framing import frame
from comfyui_cldis.editing.pipeline import decode, edit, encode
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.tensors import to_tensor

pytestmark = pytest.mark.skipif(
    not (ASSETS / "heads64.safetensors").is_file(), reason="the demo model is not there"
)


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return load_checkpoint(demo_model_path())


@pytest.fixture(scope="module")
def heads() -> torch.Tensor:
    """At the model's size."""
    images = [to_tensor(read_image(path, 3).image) for path in demo_image_paths()]
    return torch.cat([frame(image, 64, "crop")[0] for image in images])


def test_inverted_noise_gives_the_image_back(model, heads):
    back = decode(model, encode(model, heads, inversion_steps=20), num_steps=20)
    error = (back - heads).square().flatten(1).mean(1)
    assert float((10 * torch.log10(4 / error)).min()) >= 26


def test_a_sample_means_the_same_at_every_size(model, heads):
    """Framed from 512 pixels, a head has the code that it has drawn at the model's own size."""
    generator = pytest.importorskip("comfyui_cldis.datasets.heads", reason="needs numba")
    small = generator.render_heads(generator.sample_factors(len(heads), 2026), 64)
    drawn = torch.from_numpy(small).permute(0, 3, 1, 2) / 127.5 - 1
    framed, own = (encode(model, images, inversion_steps=0).z for images in (heads, drawn))
    assert float(((framed - own) / model.statistics.std).abs().max()) < 0.1


def test_the_strongest_sliders_change_the_image_visibly(model, heads):
    latent = encode(model, heads[:2], inversion_steps=10)
    plain = decode(model, latent, num_steps=10)
    assert len(model.directions) >= 6
    for direction in model.directions[:6]:
        ends = [
            decode(model, edit(model, latent, {direction.name: amount}), num_steps=10)
            for amount in (direction.minimum, direction.maximum)
        ]
        assert float((ends[1] - ends[0]).abs().mean()) > 4 / 255, direction.name
        assert all(float((end - plain).abs().mean()) > 0 for end in ends), direction.name


def test_writing_it_anew_changes_no_weight_and_nothing_that_is_shown(tmp_path):
    """`cldis rename FILE skin skin`: the older file repeats figures of its directions."""
    path = tmp_path / "heads64.safetensors"
    shutil.copy(demo_model_path(), path)
    assert cli.main(["rename", str(path), "skin", "skin"]) == 0
    before, after = load_file(demo_model_path()), load_file(path)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype and torch.equal(tensor, after[name]), name
    old, new = read_header(demo_model_path()), read_header(path)
    assert as_json(old) == as_json(new) and as_text(old, "x") == as_text(new, "x")
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
    assert not {"monotone_share", "num_visible_monotone"} & facts["quality"].keys()


def test_the_file_is_small_and_describes_itself(model):
    path = Path(demo_model_path())
    assert path.stat().st_size <= 16e6
    facts = read_header(path).facts
    assert facts.name == "heads 64" and facts.training.steps and facts.other == {}
    assert facts.quality.images == "unseen" and (facts.quality.num_images or 0) >= 256
    assert facts.quality.other == {}  # what the file repeats of the directions is theirs alone
    assert all(each.quality.monotone is not None for each in model.directions)
    assert (ASSETS / "heads64.md").is_file()
    assert "CC0" in facts.licence + facts.data_card
