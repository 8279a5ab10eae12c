"""What an imported model is used for: no step crashes, and what needs a co-pilot says so."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import comfyui_cldis
from comfyui_cldis.checkpoint import load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.checkpoint.summary import as_json, as_text
from comfyui_cldis.cli import main
from comfyui_cldis.directions.quality import drawn_latent
from comfyui_cldis.editing import pipeline
from comfyui_cldis.editing.changes import is_trackable
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.sampling import sample_images
from comfyui_cldis.importing import import_diffae
from comfyui_cldis.importing.statistics import with_measured
from comfyui_cldis.model.build import NoCopilotError
from comfyui_cldis.nodes.info import describe
from comfyui_cldis.nodes.live import MOST_OFFERS, GoneError, LivePreviews, NoPreviewError
from comfyui_cldis.nodes.sockets import LoadedModel
from tests.importing import diffae_reference as reference
from tests.importing.diffae_files import checkpoint, save, tiny, tiny_latent, weights_of

SETTINGS, LATENT = tiny(num_res_blocks=1, enc_num_res_block=1), tiny_latent()
CODES = torch.randn(200, 16, generator=torch.Generator().manual_seed(0)) * 0.5 + 1


@pytest.fixture(scope="module")
def weights() -> Any:
    return weights_of(SETTINGS, LATENT)


@pytest.fixture(scope="module")
def path(weights: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a latent diffusion model and, found by hand, a direction."""
    folder = tmp_path_factory.mktemp("imported")
    values = checkpoint(weights, SETTINGS, LATENT, conds=CODES)
    model = import_diffae(save(folder / "last.ckpt", values), folder / "plain.safetensors").model
    direction = Direction("first", (1.0, *[0.0] * 15), -2.0, 2.0, "", "", 0.1)
    save_checkpoint(folder / "model.safetensors", replace(model, directions=(direction,)))
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def model(path: Path) -> EditableModel:
    return load_checkpoint(path)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    rows = torch.arange(40)[:, None].expand(40, 50)
    pixels = torch.stack([rows * 6, rows * 3, 255 - rows * 5], dim=2).byte()
    Image.fromarray(pixels.numpy()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_files_of_version_3_keep_directions(path: Path, model: EditableModel) -> None:
    header = read_header(path)
    assert header.format_version == 3 and not header.has_copilot
    assert [each.name for each in header.directions] == ["first"]
    assert not model.networks.has_copilot and not is_trackable(model)


def test_what_is_said_of_it(path: Path, model: EditableModel) -> None:
    header = read_header(path)
    assert "no co-pilot" in as_text(header, "it") and as_json(header)["has_copilot"] is False
    assert "no co-pilot" in describe(LoadedModel("it", model))
    plain = read_header(path.parent / "plain.safetensors")
    assert "monotone directions" not in as_text(plain, "it")


def test_previews_say_that_there_is_no_copilot(model: EditableModel) -> None:
    images = torch.zeros(1, 3, 16, 16)
    latent = pipeline.encode(model, images, inversion_steps=2)
    with pytest.raises(NoCopilotError, match=r"has no co-pilot, .* Use the method decoded"):
        pipeline.preview(model, latent)


@pytest.mark.parametrize("method", ["auto", "decoded"])
def test_edits_are_decoded(method: str, path: Path, photograph: Path) -> None:
    output = photograph.parent / "edited.png"
    command = ["edit", str(photograph), "--model", str(path), "--set", "first=2", "--steps", "3"]
    assert main([*command, "--output", str(output), "--method", method]) == 0
    with Image.open(output) as edited, Image.open(photograph) as before:
        assert edited.size == (50, 40)
        assert edited.tobytes() != before.tobytes()


def test_tracked_edits_say_why_not(
    path: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["edit", str(photograph), "--model", str(path), "--set", "first=2", "--steps", "3"]
    assert main([*command, "--method", "tracked"]) == 2
    assert "has no co-pilot" in capsys.readouterr().err


def test_other_commands(path: Path, photograph: Path) -> None:
    sheet = photograph.parent / "sheet.png"
    options = ["--model", str(path), "--direction", "first", "--output", str(sheet), "--steps", "2"]
    assert main(["traverse", str(photograph), *options]) == 0 and sheet.exists()
    assert main(["directions", str(path), "--measure", "--steps", "2"]) == 0
    assert main(["info", str(path), "--json"]) == 0


def test_in_python(path: Path, photograph: Path) -> None:
    model = comfyui_cldis.load_model(path)
    latent = model.encode(Image.open(photograph), inversion_steps=2)
    assert model.decode(model.edit(latent, {"first": 1}), num_steps=2)[0].size == (50, 40)
    with pytest.raises(NoCopilotError):
        model.tracked_preview(latent)
    with pytest.raises(NoCopilotError):
        model.preview(latent)


def test_sliders_say_that_there_is_no_picture(model: EditableModel) -> None:
    loaded, live = LoadedModel("it", model), LivePreviews()
    image = torch.zeros(3, 16, 16)
    latent = sample_images(model, 1, 0, num_steps=1)
    assert latent.sources[0].pixels.shape == image.shape
    live.offer("key", loaded, latent)
    with pytest.raises(NoPreviewError, match="no co-pilot"):
        live.find("key")
    assert not loaded.previews
    for index in range(MOST_OFFERS):
        live.offer(str(index), loaded, latent)
    with pytest.raises(GoneError, match="no picture of this in memory"):
        live.find("key")  # forgotten, not kept for ever


def test_new_codes_come_from_the_latent_model(model: EditableModel, weights: Any) -> None:
    """DDIM over constant noise levels of 0.008, written out in float64."""
    full = sample_images(model, 2, 5, truncation=1.0, num_steps=1)
    noise = torch.stack([_noise(5 + index, 16, 3 * 16 * 16) for index in range(2)])
    x = noise.double()
    for t in range(990, -10, -10):
        alpha_bar, cleaner = 0.992 ** (t + 1), 0.992 ** (t - 9) if t else 1.0
        eps = _predicted(weights, x, t)
        clean = (x - math.sqrt(1 - alpha_bar) * eps) / math.sqrt(alpha_bar)
        x = math.sqrt(cleaner) * clean + math.sqrt(1 - cleaner) * eps
    expected = CODES.mean(0) + CODES.std(0) * x.float()
    torch.testing.assert_close(full.z, expected, atol=2e-3, rtol=1e-3)
    half = sample_images(model, 2, 5, truncation=0.5, num_steps=1)
    torch.testing.assert_close(half.z - CODES.mean(0), (full.z - CODES.mean(0)) / 2)


def test_no_codes_are_drawn_from_statistics_that_are_not_known(
    weights: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = {key: value for key, value in weights.items() if not key.startswith("latent_net.")}
    source, path = tmp_path / "last.ckpt", tmp_path / "plain.safetensors"
    model = import_diffae(save(source, checkpoint(plain, SETTINGS)), path).model
    refused = r"tiny_autoenc was imported without the statistics of its code.* latent\.pkl, or let"
    with pytest.raises(ValueError, match=refused):
        sample_images(model, 1, 0, num_steps=1)
    with pytest.raises(ValueError, match=refused):
        drawn_latent(model, 1)
    with pytest.raises(ValueError, match=refused):
        comfyui_cldis.load_model(path).sample(1, num_steps=1)
    command = [
        "navigate",
        str(path),
        "--finder",
        "jacobian",
        "--output",
        str(tmp_path / "new.safetensors"),
    ]
    assert main(command) == 2
    assert "without the statistics" in capsys.readouterr().err
    measured = with_measured(model, CODES)
    assert len(sample_images(measured, 1, 0, num_steps=1)) == len(drawn_latent(measured, 1)) == 1


def test_a_latent_model_needs_no_statistics_where_it_draws_codes_as_they_are(
    weights: Any, tmp_path: Path
) -> None:
    values = checkpoint(weights, SETTINGS, LATENT)
    values["hyper_parameters"]["latent_znormalize"] = False
    model = import_diffae(save(tmp_path / "last.ckpt", values), tmp_path / "it.safetensors").model
    assert len(sample_images(model, 1, 0, num_steps=1)) == 1


def _noise(seed: int, latent_dim: int, rest: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(latent_dim + rest, generator=generator)[:latent_dim]


def _predicted(weights: Any, x: Tensor, t: int) -> Tensor:
    return reference.predict_code(weights, LATENT, x.float(), torch.full((len(x),), t)).double()


@pytest.mark.slow
def test_directions_are_found_and_statistics_measured(weights: Any, tmp_path: Path) -> None:
    """From a checkpoint without statistics to a sheet of sliders, by the documented commands."""
    spread = {**weights, "encoder.out.3.weight": weights["encoder.out.3.weight"] * 20}
    plain = {key: value for key, value in spread.items() if not key.startswith("latent_net.")}
    source = save(tmp_path / "last.ckpt", checkpoint(plain, SETTINGS))
    import_diffae(source, tmp_path / "plain.safetensors")
    folder = tmp_path / "images"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for index in range(24):
        pixels = torch.rand(1, 3, 4, 4, generator=generator)
        pixels = torch.nn.functional.interpolate(pixels, size=16)[0].permute(1, 2, 0)
        Image.fromarray((255 * pixels).byte().numpy()).save(folder / f"{index}.png")
    output = tmp_path / "sliders.safetensors"
    options = ["--data", str(folder), "--directions", "2", "--output", str(output)]
    for finder in ("pca", "ica", "weights", "jacobian"):
        output.unlink(missing_ok=True)
        command = ["navigate", str(tmp_path / "plain.safetensors"), "--finder", finder]
        assert main([*command, *options]) == 0
        found = load_checkpoint(output)
        assert 1 <= len(found.directions) <= 2
        assert found.facts.other["imported"]["statistics"] == "measured"
        assert found.statistics.std.mean() != 1
    sheet = tmp_path / "sheet.png"
    assert main(["directions", str(output), "--sheet", str(sheet), "--steps", "2"]) == 0
    assert Image.open(sheet).height > 100
