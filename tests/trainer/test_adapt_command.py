"""`cldis adapt` from the outside: from a checkpoint of Diff-AE to a slider sheet, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import comfyui_cldis
from comfyui_cldis.checkpoint import load_checkpoint, read_header
from comfyui_cldis.cli import main as cldis
from comfyui_cldis.editing.pipeline import decode, encode
from comfyui_cldis.imaging.tensors import from_pixels
from comfyui_cldis.model import AdaptedDiffAE
from tests.importing.diffae_files import checkpoint, save, tiny, weights_of
from tests.trainer.backbones import write_backbone
from trainer.__main__ import main, stored_settings
from trainer.config.settings import tomllib

SETTINGS = tiny(image_size=32, num_res_blocks=1, enc_num_res_block=1)
QUICK = {
    "batch_size": 4,
    "log_every_steps": 1,
    "copilot_learning_rate": 0.003,
    "model.latent_dim": 3,
    "model.hidden_dim": 16,
    "model.copilot.base_channels": 8,
    "loop.capacity_minimum": 3,
    "loop.capacity_maximum": 4,
    "adapt.diffusion_items": 2,
    "adapt.quality_images": 2,
    "adapt.drawing_steps": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs that are neither square nor of the model's size."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = torch.Generator().manual_seed(0)
    for index in range(12):
        patches = torch.randint(0, 255, (2, 2, 3), generator=generator).byte().numpy()
        Image.fromarray(patches).resize((50, 40)).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the official layout, imported by the command."""
    folder = tmp_path_factory.mktemp("official")
    save(folder / "last.ckpt", checkpoint(weights_of(SETTINGS), SETTINGS))
    imported = folder / "imported.safetensors"
    assert cldis(["import-diffae", str(folder / "last.ckpt"), "--output", str(imported)]) == 0
    return imported


@pytest.fixture(scope="module")
def finished_run(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of three steps; no test may change it."""
    run = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        draw_no_curves(patch)
        assert adapt(model, data, run, steps=3) == 0
    return run


@pytest.fixture
def run(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished run, to be changed, whose reports are written without curves."""
    draw_no_curves(monkeypatch)
    return shutil.copytree(finished_run, tmp_path / "run")


def draw_no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first test below draws them."""
    monkeypatch.setattr("trainer.report.report.draw_curves", lambda records, config: [])


def adapt(model: Path, data: Path, output: Path, *more: str, steps: int = 6) -> int:
    words = ["adapt", str(model), "--data", str(data), "--output", str(output)]
    settings = [f"--set={key}={value}" for key, value in QUICK.items()]
    run = ["--steps", str(steps), "--device", "cpu", "--no-tensorboard"]
    return main([*words, *settings, *run, *more])


def test_from_a_checkpoint_to_a_sheet_of_sliders(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    learning = ("--set=learning_rate=0.01", "--set=warmup_steps=5", "--set=ema_decay=0.9")
    assert adapt(model, data, run, *learning, steps=60) == 0
    assert "Encoding 12 images with imported.safetensors, once." in capsys.readouterr().err
    header = read_header(run / "model.safetensors")
    assert header.has_copilot and header.latent_dim == 3 and header.stored_dtype == "float32"
    assert header.facts.other["adapted"]["file"] == "imported.safetensors"
    command = header.facts.training.command or ""
    assert command.startswith("cldis adapt imported.safetensors --data photographs")
    assert "--preset cpu --steps 60" in command and "--set adapt.diffusion_items=2" in command
    assert str(tmp_path) not in json.dumps(header.facts.to_dict())

    adapted, imported = load_checkpoint(run / "model.safetensors"), load_checkpoint(model)
    assert isinstance(adapted.networks, AdaptedDiffAE)
    weights = adapted.networks.backbone.state_dict()
    for name, tensor in imported.networks.state_dict().items():
        assert torch.equal(weights[name], tensor), name
    images = from_pixels(torch.randint(0, 255, (1, 32, 32, 3)).byte())
    drawn = [
        decode(each, encode(each, images, inversion_steps=3), num_steps=3)
        for each in (adapted, imported)
    ]
    assert torch.allclose(*drawn, rtol=0, atol=1e-4)

    found = tmp_path / "found.safetensors"
    navigated = ["navigate", str(run / "model.safetensors"), "--output", str(found)]
    assert cldis([*navigated, "--data", str(data), "--finder", "axes"]) == 0
    directions = comfyui_cldis.load_model(found).directions
    sheet = tmp_path / "sheet.png"
    assert directions
    image = str(next(iter(data.iterdir())))
    words = ["traverse", image, "--model", str(found), "--steps", "2", "--output", str(sheet)]
    assert cldis([*words, "--direction", directions[0].name]) == 0
    assert sheet.is_file()


def test_the_same_command_resumes_and_settings_stay(
    model: Path, data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adapt(model, data, run, steps=3) == 0
    assert "This run is finished" in capsys.readouterr().err
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(model.read_bytes())
    assert adapt(moved, data, run, steps=5) == 0
    said = capsys.readouterr().err
    assert "Resuming at step 3 of 5." in said and "Encoding" not in said
    stored = stored_settings(run, "cpu")
    assert stored.backbone == moved.resolve()
    assert main(["export", str(run), "--device", "cpu"]) == 0
    assert adapt(model, data, run, "--set=adapt.diffusion_items=0", steps=6) == 2
    assert "(adapt.diffusion_items was 2)" in capsys.readouterr().err
    other = write_backbone(tmp_path / "other.safetensors")
    assert adapt(other, data, run, steps=6) == 2
    assert "different: adapt.backbone_sha256" in capsys.readouterr().err


def test_other_images_are_refused_before_they_are_encoded(
    model: Path, data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped folder costs neither hours nor the codes of the run."""
    others = tmp_path / "others"
    others.mkdir()
    for index in range(4):
        Image.new("RGB", (32, 32), (60 * index, 0, 0)).save(others / f"{index}.png")
    (codes,) = (run / "cache").glob("codes-*")
    assert adapt(model, others, run, steps=5) == 2
    said = capsys.readouterr().err
    assert "The images are not those the run was started with" in said
    assert "Encoding" not in said
    assert [*(run / "cache").glob("codes-*")] == [codes]
    exported = ["export", str(run), "--data", str(others), "--device", "cpu"]
    assert main(exported) == 0
    assert "Encoding 4 images" in capsys.readouterr().err and codes.exists()
    (codes.parent / "codes-of-a-stop.partial.npy").write_bytes(b"half")
    assert main(["export", str(run), "--device", "cpu"]) == 0
    assert len([*codes.parent.glob("codes-*")]) == 3  # an export leaves them all
    assert adapt(model, data, run, steps=5) == 0
    assert "Encoding" not in capsys.readouterr().err
    assert [*codes.parent.glob("codes-*")] == [codes]


def test_codes_of_a_folder_before_it_changed_are_removed(
    model: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw_no_curves(monkeypatch)
    photographs, run = tmp_path / "photographs", tmp_path / "run"
    shutil.copytree(data, photographs)
    for number in (12, 11):
        assert adapt(model, photographs, run, steps=2) == 0
        assert f"Encoding {number} images" in capsys.readouterr().err
        assert len([*(run / "cache").glob("codes-*")]) == 1
        for path in run.glob("state*.pt"):  # as if it had been stopped before the first
            path.unlink()
        (photographs / "00.png").unlink(missing_ok=True)


def test_a_plan_writes_nothing_and_is_a_preset(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adapt(model, data, tmp_path / "run", "--dry-run") == 0
    plan = capsys.readouterr().out
    text = " ".join(plan.replace("#", "").split())
    assert "32 x 32 px" in text and "all frozen" in text and "2 go through the frozen" in text
    assert not (tmp_path / "run").exists()
    values = tomllib.loads(plan)
    assert values["adapt"]["diffusion_items"] == 2 and "backbone" not in values["model"]
    (tmp_path / "again.toml").write_text(plan)
    again = ["adapt", str(model), "--data", str(data), "--output", str(tmp_path / "run")]
    again += ["--preset", str(tmp_path / "again.toml"), "--dry-run", "--device", "cpu"]
    assert main(again) == 0
    assert tomllib.loads(capsys.readouterr().out) == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "adapt.diffusion_items=99"], "adapt.diffusion_items is 99 and batch_size 4"),
        (["--set", "model.backbone.image_size=64"], "model.backbone does not fit the model"),
        (["--preset", "cpu64"], "There is no preset 'cpu64' of adaptations. Use one of cpu, gpu"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_wrong_settings_are_refused(
    model: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert adapt(model, data, tmp_path / "run", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_model_than_an_imported_one_is_refused(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    demo = Path(comfyui_cldis.__file__).parent / "assets"
    own = next(demo.rglob("*.safetensors"))
    assert adapt(own, data, run) == 2
    assert "has a co-pilot and a small code of its own already" in capsys.readouterr().err
    assert adapt(tmp_path / "missing.safetensors", data, run) == 2
    assert "missing.safetensors" in capsys.readouterr().err
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(model.read_bytes()[:-100])
    assert adapt(torn, data, run) == 2
    assert "torn.safetensors is damaged or incomplete" in capsys.readouterr().err
    preset = tmp_path / "own.toml"
    preset.write_text("[adapt]\nbackbone_sha256 = 'x'\n")
    assert adapt(model, data, run, "--preset", str(preset)) == 2
    assert "own.toml gives adapt.backbone_sha256" in capsys.readouterr().err
    assert not run.exists()
