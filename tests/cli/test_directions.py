"""`cldis directions`, `rename` and `prune`: what they print, draw, write and refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from comfyui_cldis import cli
from comfyui_cldis.checkpoint import load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.checkpoint.summary import direction_notes
from comfyui_cldis.cli import directions as module
from comfyui_cldis.cli.loading import framed
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import DirectionQuality, ModelFacts, TrainingFacts


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def path(make_model: Callable[..., EditableModel], tmp_path: Path) -> Path:
    """A model in half precision with three directions, the last one weak, and quality figures."""
    model = make_model()
    third = Direction("third", (0.0, 0.0, 0.0, 1.0), -1.0, 1.0, effect=0.01)
    directions = tuple(
        replace(direction, quality=DirectionQuality(monotone=share))
        for direction, share in zip((*model.directions, third), (1.0, 0.75, 0.95), strict=True)
    )
    model = replace(model, directions=directions)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, dtype=torch.float16)
    return path


def names(path: Path) -> list[str]:
    return [each.name for each in read_header(path).directions]


def refused(capsys: pytest.CaptureFixture[str], code: int, *phrases: str) -> None:
    printed = capsys.readouterr()
    assert code == 2 and printed.out == "" and printed.err.count("\n") == 1
    assert all(phrase in printed.err for phrase in phrases), printed.err


def test_the_table_marks_what_is_weak(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("directions", path) == 0
    head, *lines = capsys.readouterr().out.rstrip().split("\n")
    assert head.split() == ["name", "range", "(sd)", "effect", "monotone", "note"]
    assert [line.split("  ")[0] for line in lines[:3]] == ["hair length", "yaw", "third"]
    assert "-2.00 short .. +2.50 long" in lines[0] and lines[0].endswith("0.250   1.00")
    assert lines[1].endswith("0.75      not monotone on 25 % of the images")
    assert lines[2].endswith("0.010   0.95      weak")


def test_measuring_adds_quality_and_thumbnails_and_nothing_else(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, sheet = tmp_path / "measured.safetensors", tmp_path / "sheet.png"
    before = path.read_bytes()
    options = ("--measure", "--output", output, "--steps", 2, "--device", "cpu")
    assert run("directions", path, *options) == 0
    text = capsys.readouterr().out
    assert "seems to change" in text and "alike:" in text and f"wrote {output}" in text
    assert path.read_bytes() == before
    old, new = read_header(path), read_header(output)
    assert (old.format_version, new.format_version) == (2, 2)
    assert new.stored_dtype == "float16" and new.facts == old.facts
    for was, now in zip(old.directions, new.directions, strict=True):
        assert set(now.quality.to_dict()) == {"monotone", "consistency", "balance"}
        assert now.thumbnails is not None and now.thumbnails.shape == (3, 32, 32, 3)
        assert replace(now, quality=was.quality) == was
    tensors, others = load_file(path), load_file(output)
    assert all(torch.equal(tensors[key], others[key]) for key in tensors)
    # the sheet of such a file needs no model: it is drawn from the thumbnails
    assert run("directions", output, "--sheet", sheet) == 0
    thumbnails = Image.open(sheet).size
    assert run("directions", path, "--sheet", sheet, "--steps", 1, "--device", "cpu") == 0
    assert Image.open(sheet).width > 2 * thumbnails[0]  # 2 x 5 images in a row instead of 3


def test_what_speaks_against_a_direction(tiny_model: EditableModel) -> None:
    first, second = tiny_model.directions
    weak = replace(second, effect=0.05, quality=DirectionQuality(monotone=0.8))
    found = direction_notes((replace(first, quality=DirectionQuality(monotone=1.0)), weak))
    assert found == {"hair length": "", "yaw": "weak, not monotone on 20 % of the images"}
    assert direction_notes(tiny_model.directions) == {"hair length": "", "yaw": ""}


def test_a_sheet_of_given_images(path: Path, tmp_path: Path) -> None:
    image, sheet = tmp_path / "in.png", tmp_path / "out.png"
    Image.new("RGB", (40, 30), (200, 30, 30)).save(image)
    options = ("--image", image, "--sheet", sheet, "--steps", 1, "--device", "cpu")
    assert run("directions", path, *options) == 0
    assert Image.open(sheet).height > 3 * 128


@pytest.mark.parametrize(("rule", "brightest"), [("crop", -1), ("pad", 1), ("stretch", 1)])
def test_given_images_are_made_square_as_in_training(
    tiny_model: EditableModel, tmp_path: Path, rule: str, brightest: float
) -> None:
    wide = Image.new("RGB", (40, 20))
    wide.paste((255, 255, 255), (0, 0, 10, 20))  # which "crop" cuts off
    wide.save(tmp_path / "wide.png")
    facts = ModelFacts(training=TrainingFacts(config={"resize": rule}))
    square = framed(replace(tiny_model, facts=facts), tmp_path / "wide.png")
    assert square.shape == (1, 3, 32, 32) and float(square.max()) == brightest


def test_a_sheet_larger_than_its_format_is_refused_before_the_work(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_checkpoint(path)
    many = tuple(replace(model.directions[0], name=f"d{index}") for index in range(120))
    save_checkpoint(path, replace(model, directions=many))
    monkeypatch.setattr(module, "base_latent", lambda *_: pytest.fail("the work has begun"))
    for options in ((), ("--measure",)):
        code = run("directions", path, *options, "--sheet", tmp_path / "sheet.webp")
        refused(capsys, code, " x 18512 pixels; WEBP files hold at most 16383")  # 120 * 154 + 32


def test_rename_writes_another_file(path: Path, tmp_path: Path) -> None:
    before, output = path.read_bytes(), tmp_path / "other.safetensors"
    assert run("rename", path, "yaw", "  turn ", "--output", output) == 0
    assert names(output) == ["hair length", "turn", "third"] and path.read_bytes() == before
    shares = {each.name: each.quality.monotone for each in read_header(output).directions}
    assert shares == {"hair length": 1.0, "turn": 0.75, "third": 0.95}
    assert run("rename", path, "yaw", "turn") == 0
    assert read_header(path) == read_header(output)


def test_rename_prints_what_it_changed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rename", path, "yaw", "yaw", "--labels", "shut", "open", "--reverse") == 0
    printed = capsys.readouterr().out
    assert "'yaw' keeps its name, turned round, its ends are 'shut' and 'open'" in printed


def test_thumbnails_have_their_amounts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    monkeypatch.setattr(module, "contact_sheet", lambda given, **_: rows.extend(given))
    assert run("directions", path, "--measure", "--output", path, "--steps", 1) == 0
    module.thumbnail_sheet(read_header(path))
    ranges = [(each.minimum, each.maximum) for each in read_header(path).directions]
    expected = [(f"{max(low, -2):+.1f}", "0", f"{min(high, 2):+.1f}") for low, high in ranges]
    assert [row.captions for row in rows] == expected


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("third", "is called 'third'. Choose another"),
        (" third ", "is called 'third'. Choose another"),
        (" ", "cannot be used"),
        ("two\nlines", "cannot be used"),
        ("#turn", "edits of names that begin with # are passed over"),
    ],
)
def test_names_that_are_refused(
    path: Path, capsys: pytest.CaptureFixture[str], new: str, message: str
) -> None:
    before = path.read_bytes()
    refused(capsys, run("rename", path, "yaw", new), message)
    assert path.read_bytes() == before


def test_an_output_that_is_there_is_kept(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "other.safetensors"
    output.write_bytes(b"mine")
    for command in (
        ("rename", path, "yaw", "turn"),
        ("prune", path, "yaw"),
        ("directions", path, "--measure", "--steps", 1),
    ):
        refused(capsys, run(*command, "--output", output), "is there already")
    assert output.read_bytes() == b"mine"
    assert run("prune", path, "yaw", "--output", path) == 0  # the file itself is meant


def test_pruning_by_name_and_by_effect(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_checkpoint(path).networks.state_dict()
    assert run("prune", path, "--below", "0.02") == 0
    assert "dropped third; 2 are left" in capsys.readouterr().out
    assert names(path) == ["hair length", "yaw"]
    shares = [each.quality.monotone for each in read_header(path).directions]
    assert shares == [1.0, 0.75]
    assert run("prune", path, "yaw") == 0
    model = load_checkpoint(path)
    assert names(path) == ["hair length"] and read_header(path).stored_dtype == "float16"
    after = model.networks.state_dict()
    assert all(torch.equal(weights[key], after[key]) for key in weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give either NAMES or --below EFFECT"),
        (("yaw", "--below", "0.1"), "Give either NAMES or --below EFFECT"),
        (("nose",), "'nose' is not in 'tiny'. It has: hair length, yaw, third"),
        (("hair length", "yaw", "third"), "Keep at least one"),
        (("--below", "2"), "Keep at least one"),
        (("--below", "0.005"), "The weakest has 0.010"),
        (("--below", "nan"), "is not a number above 0"),
        (("--below", "-1"), "is not a number above 0"),
    ],
)
def test_pruning_that_is_refused(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    before = path.read_bytes()
    refused(capsys, run("prune", path, *arguments), message)
    assert path.read_bytes() == before


def test_directions_that_cannot_be_shown(
    path: Path, tmp_path: Path, make_model: Callable[..., EditableModel], capsys
) -> None:
    refused(capsys, run("directions", path, "--output", tmp_path / "x.safetensors"), "--measure")
    refused(
        capsys,
        run("directions", path, "--sheet", "out.txt"),
        "no ending that can be written",
    )
    bare = tmp_path / "bare.safetensors"
    save_checkpoint(bare, replace(make_model(), directions=()))
    assert run("directions", bare) == 0
    why = "he images do not follow the code yet: no latent changes them visibly"
    said = f"T{why}, so there are no sliders. Train longer.\n"
    assert capsys.readouterr().out == said
    for flags in (("--sheet", tmp_path / "a.png"), ("--measure",)):
        said = f"tiny has no directions to draw, as t{why}. Train longer."
        refused(capsys, run("directions", bare, *flags), said)


def test_directions_that_are_no_sliders_yet_are_listed_with_the_reason(
    path: Path, tmp_path: Path, capsys
) -> None:
    model = load_checkpoint(path)
    quality = replace(model.facts.quality, explained_variance_code=0.05)
    save_checkpoint(path, replace(model, facts=replace(model.facts, quality=quality)))
    for flags in ((), ("--sheet", tmp_path / "a.png", "--steps", 1)):
        assert run("directions", path, *flags) == 0
        printed = capsys.readouterr()
        assert printed.out.count("the 3 directions found are no sliders yet. Train longer.") == 1
        assert "no sliders" not in printed.err
