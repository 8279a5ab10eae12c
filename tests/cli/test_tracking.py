"""`cldis track` in-process: what it reads, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("cv2")

from comfyui_cldis import cli
from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.cli import scores
from comfyui_cldis.cli.tracking import read_folder
from comfyui_cldis.editing.facts import TrainingFacts
from comfyui_cldis.tracking import FAST, TrackingSettings
from comfyui_cldis.tracking.settings import DIRECTIONS, VERSIONS

QUICK = TrackingSettings(num_bases=2, num_steps=1, num_coverage=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of different brightness, two of them in a folder of their own."""
    place = tmp_path / "images"
    (place / "more").mkdir(parents=True)
    for index in range(5):
        shape = (40, 50, 3) if index else (32, 32, 3)
        image = Image.fromarray(np.full(shape, 40 * index, dtype=np.uint8))
        image.save((place / "more" if index > 2 else place) / f"{index}.png")
    (place / "notes.txt").write_text("not an image")
    return place


@pytest.fixture
def model_file(tiny_model, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "tiny.safetensors", tiny_model)
    return tmp_path / "tiny.safetensors"


def test_a_folder_gives_as_many_images_as_are_needed(folder):
    first = read_folder(folder, 32, 3, QUICK, seed=0)
    assert first.shape == (3, 3, 32, 32)
    assert len(set(first[:, 0, 0, 0].tolist())) == 3
    assert torch.equal(first, read_folder(folder, 32, 3, QUICK, seed=0))
    assert read_folder(folder, 16, 1, TrackingSettings(), seed=0).shape == (5, 1, 16, 16)
    levels = read_folder(folder, 32, 3, FAST, 1)[:, 0, 9, 9] * 127.5 + 127.5
    assert sorted(levels.round().tolist()) == [0, 40, 80, 120, 160]


def test_images_are_made_square_as_in_training(tmp_path):
    for index in range(2):
        pixels = np.zeros((20, 40, 3), dtype=np.uint8)
        pixels[:, :10] = 255  # which "crop" cuts off
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    cropped = read_folder(tmp_path, 32, 3, QUICK, 0)
    stretched = read_folder(tmp_path, 32, 3, QUICK, 0, "stretch")
    assert float(cropped.max()) == -1 and float(stretched[0, 0, 5, 0]) == 1
    for config, rule in (({}, "crop"), ({"resize": "pad"}, "pad"), ({"resize": 3}, "crop")):
        assert TrainingFacts(config=config).resize == rule


def test_a_folder_is_read_by_the_rules_of_training(folder, tmp_path, capsys):
    (folder / "._0.png").write_bytes(b"what macOS leaves behind")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "6.png").write_bytes(b"no")
    Image.new("RGB", (40, 40), "white").save(folder / "grey.tiff")
    levels = read_folder(folder, 32, 3, TrackingSettings(), seed=0)[:, 0, 9, 9] * 127.5 + 127.5
    assert sorted(levels.round().tolist()) == [0, 40, 80, 120, 160, 255]
    (folder / "folder.png").mkdir()
    linked = tmp_path / "linked"
    linked.mkdir()
    Image.new("RGB", (40, 40), (99, 99, 99)).save(linked / "a.png")
    (folder / "link").symlink_to(linked, target_is_directory=True)
    (linked / "loop").symlink_to(folder, target_is_directory=True)
    assert len(read_folder(folder, 32, 3, TrackingSettings(), seed=0)) == 7
    assert capsys.readouterr().err == ""


def test_an_image_that_cannot_be_read_gives_way_to_the_next(folder, capsys):
    whole = read_folder(folder, 32, 3, QUICK, seed=0)
    assert capsys.readouterr().err == ""
    for index in range(3):
        (folder / f"broken{index}.png").write_bytes(b"no")
    assert len(read_folder(folder, 32, 3, QUICK, seed=0)) == len(whole) == 3
    assert len(read_folder(folder, 32, 3, TrackingSettings(), seed=0)) == 5
    error = capsys.readouterr().err
    assert "3 images could not be read and are left out: broken" in error
    for path in folder.rglob("[0-3].png"):
        path.unlink()
    with pytest.raises(ValueError, match="holds 1 image .*needs at least 2"):
        read_folder(folder, 32, 3, QUICK, seed=0)


def test_track_writes_json_and_prints_the_parts(folder, model_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("comfyui_cldis.tracking.FAST", QUICK)
    out, sheet = tmp_path / "track.json", tmp_path / "track.png"
    arguments = ["track", model_file, "--data", folder, "--fast", "--seed", 3, "--json", out]
    arguments += ["--sheet", sheet, "--directions", "model", "--device", "cpu"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Content-tracking score 0.000 (version 1), ") and "seed 3" in printed
    assert "| coverage | 0.000 |" in printed and "hair length" in printed
    result = json.loads(out.read_text(encoding="utf-8"))
    parts = "cts purity compactness distinctness coverage consistency persistence monotonicity"
    assert set(parts.split()) < set(result) and result["model"] == "tiny"
    assert [row["name"] for row in result["directions"]] == ["hair length", "yaw"]
    assert result["settings"]["seed"] == 3 and result["data"] == str(folder)
    assert result["version"] == result["settings"]["version"] == 1
    with Image.open(sheet) as drawn:
        assert drawn.width > 8 * 96 and drawn.height > 2 * 96


def test_the_other_version_can_be_asked_for(model_file, monkeypatch, capsys):
    monkeypatch.setattr("comfyui_cldis.tracking.FAST", QUICK)
    assert cli.main(["track", str(model_file), "--fast", "--score-version", "2"]) == 0
    assert "(version 2), " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["--data", "nowhere"], "There is no folder nowhere"),
        (["--sheet", "sheet.txt"], "no ending that can be written"),
        (["--json", "nowhere/track.json"], "Name a file in a folder that exists"),
        (["--directions", "all"], "axes"),
        (["--score-version", "3"], "1, 2"),
        (["--seed", "-1"], "whole number"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, phrase, model_file, capsys):
    assert cli.main(["track", str(model_file), *arguments]) == 2
    captured = capsys.readouterr()
    assert phrase in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_too_few_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds 0 images"):
        read_folder(tmp_path, 32, 3, QUICK, 0)


def test_choices_are_those_of_the_library():
    assert scores.DIRECTIONS == DIRECTIONS and scores.VERSIONS == VERSIONS
