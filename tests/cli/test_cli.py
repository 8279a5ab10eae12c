"""The `cldis` command in-process: what it writes and prints, and its exit codes."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import comfyui_cldis
import comfyui_cldis.checkpoint as checkpoint
from comfyui_cldis import cli, trainer_door
from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.cli import images as images
from comfyui_cldis.cli.main import TRAINER_COMMANDS
from comfyui_cldis.cli.terminal import progress_bar
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import DirectionQuality
from comfyui_cldis.editing.pipeline import SAMPLERS
from comfyui_cldis.imaging.reading import StoredImage
from comfyui_cldis.wording import command_line

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A 40 x 50 image of a colour ramp."""
    path = tmp_path / "in" / "me at home.jpg"
    path.parent.mkdir()
    save_ramp(path, 40, 50)
    return path


def save_ramp(path: Path, width: int, height: int) -> None:
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([x * 255 / width, y * 255 / height, 0 * x + 90], axis=-1)
    Image.fromarray(levels.astype(np.uint8)).save(path)


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def assert_wrong_input(capsys: pytest.CaptureFixture[str], code: int, *phrases: str) -> None:
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    for phrase in phrases:
        assert phrase in captured.err


def test_choices_are_those_of_the_library() -> None:
    assert images.SAMPLERS == SAMPLERS


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"cldis {comfyui_cldis.__version__}\n"


@pytest.mark.parametrize("command", ["", "demo", "edit", "traverse", "info"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*filter(None, [command]), "--help")
    assert caught.value.code == 0
    assert "usage: cldis" in capsys.readouterr().out


def test_edit(
    portrait: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = portrait.read_bytes()
    code = run(
        "edit", portrait, "--set", "yaw=1", "--set", "hair length=-1.5", "--model",
        tiny_checkpoint, "--steps", 2,
    )  # fmt: skip
    captured = capsys.readouterr()
    assert (code, captured.err) == (
        0,
        "Note: only the central 40 x 40 pixels of 40 x 50 can change. Choose another part with "
        "--crop, or show the model all of it with --resize pad.\n",
    )
    assert captured.out.startswith("wrote me at home_edited.jpg (40 x 50) in ")
    assert captured.out.count("\n") == 1
    with Image.open(tmp_path / "me at home_edited.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (40, 50))
    assert portrait.read_bytes() == before


@pytest.mark.parametrize(("rule", "size"), [("crop", (40, 50)), ("pad", (40, 50))])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_edit_with_other_settings(
    portrait: Path, tiny_checkpoint: Path, rule: str, size: tuple[int, int], sampler: str
) -> None:
    arguments = ["--model", tiny_checkpoint, "--steps", 3, "--seed", 7, "--resize", rule]
    for output in ("a.png", "b.png"):
        code = run(
            "edit", portrait, "--set", "yaw=0.5", *arguments, "--sampler", sampler,
            "--output", output,
        )  # fmt: skip
        assert code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    with Image.open("a.png") as image:
        assert image.size == size


@pytest.mark.parametrize(
    ("name", "kind", "written"),
    [("a.jfif", "JPEG", "a_edited.jfif"), ("a.bmp", "BMP", "a_edited.png")],
)
def test_edit_names_its_output_by_the_format(
    name: str, kind: str, written: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), "teal").save(tmp_path / name, kind)
    arguments = ["--set", "yaw=1", "--steps", 1, "--model", tiny_checkpoint]
    assert run("edit", tmp_path / name, *arguments) == 0
    with Image.open(written) as image:
        assert image.format == ("JPEG" if kind == "JPEG" else "PNG")


def test_edit_moves_the_image_and_zero_does_not(portrait: Path, tiny_checkpoint: Path) -> None:
    for amount in ("0", "-0.0", "1.5"):
        arguments = ["--model", tiny_checkpoint, "--steps", 2, "--output", f"by {amount}.png"]
        assert run("edit", portrait, "--set", f"yaw={amount}", *arguments) == 0
    assert Path("by 0.png").read_bytes() == Path("by -0.0.png").read_bytes()
    assert Path("by 0.png").read_bytes() != Path("by 1.5.png").read_bytes()


def test_an_image_that_is_there_is_kept(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def edit(amount: int, *more: object) -> int:
        arguments = ["--model", tiny_checkpoint, "--steps", 1, *more]
        return run("edit", portrait, "--set", f"yaw={amount}", *arguments)

    assert edit(1) == edit(-1) == 0
    first, second = Path("me at home_edited.jpg"), Path("me at home_edited_2.jpg")
    before = first.read_bytes()
    assert second.read_bytes() != before
    capsys.readouterr()
    code = edit(-1, "--output", first)
    assert_wrong_input(capsys, code, "is there already", "--force")
    assert first.read_bytes() == before
    assert edit(-1, "--output", first, "--force") == 0
    assert first.read_bytes() == second.read_bytes()
    assert edit(1, "--force") == 0
    assert first.read_bytes() == before and not Path("me at home_edited_3.jpg").exists()


def test_a_seed_draws_the_square_anew(portrait: Path, tiny_checkpoint: Path) -> None:
    drawn = []
    for number, more in enumerate(([], ["--seed", 3], ["--seed", 3], ["--seed", 4])):
        arguments = ["--model", tiny_checkpoint, "--steps", 2, "--output", f"{number}.png", *more]
        assert run("edit", portrait, "--set", "yaw=0", *arguments) == 0
        with Image.open(f"{number}.png") as image:
            drawn.append(np.asarray(image))
    with Image.open(portrait) as original:
        assert np.array_equal(drawn[0], np.asarray(original))
    assert np.array_equal(drawn[1], drawn[2])
    assert not np.array_equal(drawn[1], drawn[3]) and not np.array_equal(drawn[1], drawn[0])
    assert run("traverse", portrait, "--direction", "yaw", *arguments[:4], "--seed", 0) == 0


@pytest.mark.parametrize(("seed", "middle"), [([], "original"), (["--seed", "3"], "drawn anew")])
def test_a_sheet_calls_original_only_what_is(
    portrait: Path,
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: list[str],
    middle: str,
) -> None:
    rows = []

    def note(given: list, **options: object) -> Image.Image:
        rows.extend(given)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("comfyui_cldis.cli.sheets.contact_sheet", note)
    arguments = ["--model", tiny_checkpoint, "--steps", 1, *seed]
    assert run("traverse", portrait, "--direction", "yaw", *arguments) == 0
    (row,) = rows
    assert row.captions[len(row.captions) // 2] == middle


def test_edit_beyond_the_range_warns_and_works(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        "edit", portrait, "--set", "yaw=9", "--model", tiny_checkpoint, "--steps", 1
    )  # fmt: skip
    assert code == 0
    note = "Note: 9 is outside the range of 'yaw' seen in training, -1.50 to 1.50."
    assert note in capsys.readouterr().err


def test_an_extreme_edit_is_limited_with_a_note(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", tiny_checkpoint, "--steps", 1]
    assert run("edit", portrait, "--set", "yaw=15", *arguments, "--output", "limit.png") == 0
    assert "Applied" not in capsys.readouterr().err
    for amount in ("1e9", "1e30"):
        code = run(
            "edit", portrait, "--set", f"yaw={amount}", *arguments, "--output", "x.png", "--force"
        )
        note = "-1.50 to 1.50. Applied is 15.00: at most 10 times the range.\n"
        assert code == 0 and note in capsys.readouterr().err
        assert Path("x.png").read_bytes() == Path("limit.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ([], "No edit was given"),
        (["--set", "yaw"], "--set 'yaw' is not NAME=AMOUNT"),
        (["--set", "=1"], "--set '=1' is not"),
        (["--set", "yaw=much"], "finite number"),
        (["--set", "yaw=nan"], "finite number"),
        (["--set", "yaw=1e999"], "finite number"),
        (["--set", "yaw=1", "--set", "yaw=2"], "names 'yaw' twice"),
        (["--set", "smlie=1"], "'smlie' is not in 'tiny'. It has: hair length, yaw."),
        (["--set", "Yaw=1"], "'tiny', which has: hair length, yaw. Did you mean 'yaw'?"),
        (["--set", "hairlength=1"], "Did you mean 'hair length'?"),
        (
            ["--set", "hair length=-1.5,yaw=1"],
            "holds 2 amounts. Give one amount per slider, each on its own: "
            f"{command_line('--set', 'hair length=-1.5', '--set', 'yaw=1')}.",
        ),
        (["--set", "yaw=1; hair=2"], "on its own: --set yaw=1 --set hair=2."),
        (["--set", "a=b=1"], "Direction 'a=b' is not in 'tiny'. It has:"),
        (["--set", "yaw=1", "--steps", "0"], "--steps: '0' is not a whole number from 1"),
        (["--set", "yaw=1", "--steps", "many"], "'many' is not"),
        (["--set", "yaw=1", "--seed", "-1"], "'-1' is not"),
        (["--set", "yaw=1", "--seed", str(2**64)], "is not a whole number from 0 to 2^64-1"),
        (["--set", "yaw=1", "--sampler", "euler"], "invalid choice: 'euler'"),
        (["--set", "yaw=1", "--output", "x.gif"], "Use one of .png, .jpg, .jpeg, .jfif, .webp"),
        (["--set", "yaw=1", "--output", "no/x.png"], "output folder no does not exist"),
        (["--set", "yaw=1", "--output", "in.png"], "The output in.png is a folder"),
        (["--set", "yaw=1", "--frobnicate"], "unrecognized arguments: --frobnicate"),
    ],
)
def test_wrong_edits(
    portrait: Path,
    tiny_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    phrase: str,
) -> None:
    Path("in.png").mkdir()
    before = sorted(os.listdir())
    code = run("edit", portrait, "--model", tiny_checkpoint, *arguments)
    assert_wrong_input(capsys, code, phrase)
    assert sorted(os.listdir()) == before


def test_the_input_is_never_overwritten(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = portrait.read_bytes()
    os.symlink(portrait, "link.jpg")
    for output in (portrait, "link.jpg", portrait.parent / ".." / "in" / portrait.name):
        for command in (["edit", "--set", "yaw=1"], ["traverse", "--direction", "yaw"]):
            code = run(*command, portrait, "--model", tiny_checkpoint, "--output", output)
            assert_wrong_input(capsys, code, "is the input itself")
    assert portrait.read_bytes() == before


def test_images_that_cannot_be_read(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cut.jpg").write_bytes(portrait.read_bytes()[:300])
    Path("text.png").write_text("no image")
    Path("folder.png").mkdir()
    for name, phrase in {
        "gone.png": "There is no image gone.png",
        "cut.jpg": "cut.jpg cannot be read as an image",
        "text.png": "text.png cannot be read as an image (not an image of an accepted format",
        "folder.png": "folder.png is a folder",
    }.items():
        code = run("edit", name, "--set", "yaw=1", "--model", tiny_checkpoint)
        assert_wrong_input(capsys, code, phrase)


def test_an_output_larger_than_its_format_is_refused_before_the_work(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("comfyui_cldis.editing.pipeline.encode", work)
    Image.new("RGB", (16390, 20), "green").save("strip.png")
    for rule in ("pad", "stretch"):
        arguments = ("--set", "yaw=1", "--resize", rule, "--model", tiny_checkpoint)
        code = run("edit", "strip.png", *arguments, "--output", "out.webp")
        assert_wrong_input(capsys, code, "16390 x 20 pixels; WEBP files hold at most 16383")
    with pytest.raises(AssertionError, match="has begun"):
        run("edit", "strip.png", *arguments, "--output", "out.jpg")


def test_an_image_that_is_read_smaller_is_announced(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.new("RGB", (80, 60), "teal")
    read = StoredImage(image, 160, 120)
    monkeypatch.setattr("comfyui_cldis.imaging.photograph.read_stored", lambda *_: read)
    arguments = ("--set", "yaw=1", "--steps", 1, "--model", tiny_checkpoint)
    assert run("edit", "large.jpg", *arguments, "--output", "out.png") == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "Note: large.jpg has 160 x 120 pixels; it is read, and results are written, at 80 x 60.",
        "Note: only the central 60 x 60 pixels of 80 x 60 can change. Choose another part with "
        "--crop, or show the model all of it with --resize pad.",
    ]
    assert printed.out.startswith("wrote out.png (80 x 60)")


def test_metadata_of_an_image_are_no_reason_to_refuse_or_to_warn(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x0131] = "a camera"
    Image.open(portrait).save("odd.png", exif=exif.tobytes().replace(b"a camera", b"a came"))
    arguments = ("--set", "yaw=1", "--steps", 1, "--model", tiny_checkpoint, "--resize", "pad")
    assert run("edit", "odd.png", *arguments, "--output", "out.png") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("size", "more"),
    [((40, 40), []), ((60, 40), ["--crop", "0,0,30,20"]), ((60, 40), ["--size", "model"])],
)
def test_nothing_is_said_where_all_can_change_or_the_part_was_chosen(
    tiny_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    size: tuple[int, int],
    more: list[str],
) -> None:
    save_ramp(tmp_path / "in.png", *size)
    arguments = ["--set", "yaw=1", "--steps", 1, "--model", tiny_checkpoint, *more]
    assert run("edit", tmp_path / "in.png", *arguments, "--output", "out.png") == 0
    assert capsys.readouterr().err == ""


def test_models_that_cannot_be_read(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.safetensors").write_bytes(b"abc")
    for command in (["edit", portrait, "--set", "yaw=1", "--model"], ["info"]):
        assert_wrong_input(capsys, run(*command, "gone.safetensors"), "There is no model file")
        assert_wrong_input(capsys, run(*command, "bad.safetensors"), "not a safetensors file")


def test_a_model_of_image_latents(
    portrait: Path,
    make_model: Callable[..., EditableModel],
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_checkpoint("latents.safetensors", make_model(in_channels=4))
    code = run("edit", portrait, "--set", "yaw=1", "--model", "latents.safetensors")
    assert_wrong_input(capsys, code, "image latents with 4 channels")


def test_a_grey_model(portrait: Path, make_model: Callable[..., EditableModel]) -> None:
    save_checkpoint("grey.safetensors", make_model(in_channels=1))
    arguments = ["--model", "grey.safetensors", "--steps", 1, "--output", "out.webp"]
    assert run("edit", portrait, "--set", "yaw=1", *arguments) == 0
    with Image.open("out.webp") as image:
        assert (image.format, image.size) == ("WEBP", (40, 50))


def test_traverse(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", tiny_checkpoint, "--steps", 2]
    assert run("traverse", portrait, "--direction", "hair length", *arguments) == 0
    assert capsys.readouterr().out.startswith("wrote me at home_traverse.png (")
    with Image.open("me at home_traverse.png") as image:
        assert image.width > 7 * 120 > 120 < image.height


@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_traverse_as_an_animation(portrait: Path, tiny_checkpoint: Path, ending: str) -> None:
    arguments = ["--direction", "yaw", "--model", tiny_checkpoint, "--steps", 1, "--animate"]
    assert run("traverse", portrait, *arguments, "--output", f"walk{ending}") == 0
    with Image.open(f"walk{ending}") as animation:
        frames = animation.n_frames  # WebP joins frames that look the same
        assert animation.size == (40, 40) and (frames == 22 if ending == ".gif" else frames > 2)
        assert animation.info["loop"] == 0
    assert run("traverse", portrait, *arguments) == 0
    assert Path("me at home_traverse.webp").exists()


def test_an_animation_has_its_own_endings(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--direction", "yaw", "--model", tiny_checkpoint, "--animate", "--output"]
    code = run("traverse", portrait, *arguments, "walk.jpg")
    assert_wrong_input(capsys, code, "walk.jpg", "Use one of .gif, .webp.")


def test_edit_within_a_crop_and_a_mask_changes_nothing_else(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    save_ramp(Path("photo.png"), 90, 60)
    mask = np.zeros((60, 90), np.uint8)
    mask[:, 50:] = 255
    Image.fromarray(mask).save("mask.png")
    arguments = [
        "--set",
        "yaw=1.5",
        "--model",
        tiny_checkpoint,
        "--steps",
        1,
        "--crop",
        "30,10,40,40",
    ]
    assert run("edit", "photo.png", *arguments, "--output", "a.png") == 0
    assert run("edit", "photo.png", *arguments, "--mask", "mask.png", "--output", "b.png") == 0
    assert run("edit", "photo.png", *arguments, "--strength", 0, "--output", "c.png") == 0
    before = np.asarray(Image.open("photo.png"))
    for name, columns in (("a.png", slice(30, 70)), ("b.png", slice(50, 70))):
        is_changed = (np.asarray(Image.open(name)) != before).any(-1)
        assert is_changed[10:50, columns].mean() > 0.5
        is_changed[10:50, columns] = False
        assert not is_changed.any()
    assert np.array_equal(np.asarray(Image.open("c.png")), before)


@pytest.mark.parametrize(
    ("more", "phrases"),
    [
        (["--crop", "1,2,3"], ["'1,2,3' is not X,Y,W,H in whole pixels"]),
        (["--crop", "-1,0,9,9"], ["--crop"]),
        (["--crop", "30,0,20,20"], ["20 x 20 pixels at 30, 0", "image of 40 x 50"]),
        (["--mask", "none.png"], ["There is no image none.png"]),
        (["--mask", "wide.png"], ["The mask wide.png has 90 x 60 pixels and the image 40 x 50"]),
        (["--strength", "2"], ["'2' is not a number from 0 to 1"]),
    ],
)
def test_bad_places_of_an_edit(
    portrait: Path,
    tiny_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    phrases: list[str],
) -> None:
    save_ramp(Path("wide.png"), 90, 60)
    code = run("edit", portrait, "--set", "yaw=1", "--model", tiny_checkpoint, *more)
    assert_wrong_input(capsys, code, *phrases)


def test_edit_keeps_what_a_photograph_carries(tiny_checkpoint: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    levels = np.mgrid[0:60, 0:90][1].astype(np.uint8) * 2
    Image.fromarray(levels).convert("RGB").save("in.jpg", exif=exif, dpi=(300, 300))
    assert run("edit", "in.jpg", "--set", "yaw=1", "--model", tiny_checkpoint, "--steps", 1) == 0
    with Image.open("in_edited.jpg") as image:
        assert image.size == (60, 90) and image.info["dpi"] == (300, 300)
        assert image.getexif()[0x010F] == "A camera" and 0x0112 not in image.getexif()


def test_traverse_an_unknown_direction(
    portrait: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("traverse", portrait, "--direction", "age", "--model", tiny_checkpoint)
    assert_wrong_input(capsys, code, "Direction 'age' is not in 'tiny'. It has: hair length, yaw.")
    assert_wrong_input(capsys, run("traverse", portrait), "--direction")


def test_a_model_without_sliders_says_why(
    portrait: Path,
    make_model: Callable[..., EditableModel],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, path = make_model(), tmp_path / "bare.safetensors"
    save_checkpoint(path, dataclasses.replace(model, directions=()))
    why = "he images do not follow the code yet: no latent changes them visibly"
    for command in (
        ("edit", portrait, "--set", "axis=1"),
        ("traverse", portrait, "--direction=axis"),
    ):
        said = f"'axis' is not in 'tiny', which has none, as t{why}. Train longer."
        assert_wrong_input(capsys, run(*command, "--model", path), said)
    text = f"  T{why}, so there are no sliders. Train longer."
    assert run("info", path) == 0
    assert f"  none\n{text}\n" in capsys.readouterr().out
    assert run("info", path, "--json") == 0
    assert "sliders" not in capsys.readouterr().out
    quality = dataclasses.replace(model.facts.quality, explained_variance_code=0.05)
    facts = dataclasses.replace(model.facts, quality=quality)
    save_checkpoint(path, dataclasses.replace(model, facts=facts))
    assert run("info", path) == 0
    text = capsys.readouterr().out
    assert text.index("yaw") < text.index("so the 2 directions found are no sliders yet.")


def test_info(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", tiny_checkpoint) == 0
    text = capsys.readouterr().out
    for phrase in ("tiny", "32 x 32", "hair length", "-2.00 short", "CC0", "Random weights."):
        assert phrase in text


def test_info_marks_weak_directions(
    make_model: Callable[..., EditableModel], capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model()
    strong, faint = model.directions
    faint = dataclasses.replace(faint, effect=0.2 * strong.effect)
    strong = dataclasses.replace(strong, quality=DirectionQuality(monotone=0.75))
    save_checkpoint("m.safetensors", dataclasses.replace(model, directions=(strong, faint)))
    assert run("info", "m.safetensors") == 0
    lines = capsys.readouterr().out.splitlines()
    (first,) = [line for line in lines if strong.name in line]
    (second,) = [line for line in lines if faint.name in line]
    assert first.endswith("(effect 0.250, not monotone on 25 % of the images)")
    assert second.endswith("(effect 0.050, weak)")


def test_info_for_programs(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", tiny_checkpoint, "--json") == 0
    info = json.loads(capsys.readouterr().out)
    assert info["format_version"] == 1
    assert info["image_size"] == 32
    assert info["latent_dim"] == 4
    assert [each["name"] for each in info["directions"]] == ["hair length", "yaw"]
    assert (info["directions"][0]["min"], info["directions"][0]["max"]) == (-2.0, 2.5)
    assert info["facts"]["quality"] == {"psnr_db": 12.5}


@pytest.mark.parametrize("num_images", [1, 3])
def test_demo_draws_a_sheet(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    num_images: int,
) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(num_images)]
    for path in paths:
        save_ramp(path, 32, 32)
    monkeypatch.setattr(checkpoint, "demo_model_path", lambda: tiny_checkpoint)
    monkeypatch.setattr(checkpoint, "demo_image_paths", lambda: paths)
    monkeypatch.setattr(images, "DEFAULT_STEPS", 2)
    assert run("demo") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("wrote cldis_demo.png (")
    # two steps, or four where the noise is searched first; no terminal to draw a bar on
    runs = [[50, 100], [25, 50, 75, 100]]
    assert captured.err in ["".join(f"draw: {share} %\n" for share in run) for run in runs]
    with Image.open("cldis_demo.png") as image:
        assert image.width > 5 * 128
        assert image.height > min(num_images, 2) * 128
    assert run("demo", "--output", "no/demo.png") == 2
    before = Path("cldis_demo.png").read_bytes()
    assert run("demo") == 0 and Path("cldis_demo_2.png").is_file()
    assert run("demo", "--output", "cldis_demo.png") == 2
    assert "is there already" in capsys.readouterr().err
    assert Path("cldis_demo.png").read_bytes() == before
    assert run("demo", "--output", "cldis_demo.png", "--force") == 0


def test_demo_of_a_model_without_directions(make_model: Callable[..., EditableModel]) -> None:
    from dataclasses import replace

    from comfyui_cldis.cli.sheets import demo_sheet

    images = [torch.zeros(3, 32, 32, dtype=torch.uint8)]
    model = replace(make_model(), directions=())
    sheet = demo_sheet(model, images, progress_bar, num_steps=1)
    assert sheet.width > 128


def test_without_the_demo_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("comfyui_cldis.checkpoint.demo.ASSETS", tmp_path)
    assert_wrong_input(capsys, run("info"), "is not part of this installation")
    assert_wrong_input(capsys, run("demo"), "is not part of this installation")


def demo_model_is_there() -> bool:
    return (checkpoint.demo.ASSETS / "heads64.safetensors").is_file()


@pytest.mark.skipif(
    not demo_model_is_there(), reason="comfyui_cldis/assets/heads64.safetensors is not there"
)
def test_the_bundled_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--device", "cpu") == 0
    with Image.open("cldis_demo.png") as image, Image.open(ROOT / "docs" / "demo.png") as shown:
        assert image.size == shown.size
        difference = np.abs(np.asarray(image, dtype=int) - np.asarray(shown, dtype=int)).max(-1)
    # Where it is meant to differ, look at it, and put it there. (A PSNR overlooks half an eye.)
    assert (difference > 8).mean() < 0.002, "it is no longer the picture in the README"
    capsys.readouterr()
    assert run("info", "--json") == 0
    info = json.loads(capsys.readouterr().out)
    assert info["image_size"] == 64
    assert len(info["directions"]) >= 6
    assert len(checkpoint.demo_image_paths()) >= 6


@pytest.mark.parametrize("command", TRAINER_COMMANDS)
def test_the_trainer_gets_all_arguments(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[list[str]] = []

    class Trainer:
        @staticmethod
        def main(arguments: list[str]) -> int:
            received.append(arguments)
            return 7

    monkeypatch.setattr(trainer_door, "load_trainer", lambda name: Trainer)
    assert run(command, "--data", "heads", "--output", "x", "--help") == 7
    assert received == [[command, "--data", "heads", "--output", "x", "--help"]]


@pytest.mark.parametrize("command", TRAINER_COMMANDS)
def test_the_trainer_knows_its_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(command, "--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage:") and (command == "train" or f" {command} " in out)


def test_train_without_the_trainer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(trainer_door, "CHECKOUT", tmp_path / "site")
    code = run("train", "--data", "heads")
    assert_wrong_input(capsys, code, "came without the trainer", "Install the complete package")


def test_evaluate_arrays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (600, 3))
    path, output = tmp_path / "codes.npz", tmp_path / "scores.json"
    np.savez(path, codes=factors.astype(np.float32), factors=factors)
    options = ("--metrics", "mig,modularity,active_dims", "--json", str(output))
    assert run("evaluate", "--representation", str(path), *options) == 0
    table = capsys.readouterr().out
    assert "| mig |" in table and "oracle" in table and "random rotation" in table
    result = json.loads(output.read_text())
    assert result["mig"] > 0.95 and result["active_dims"] == 3
    assert result["controls"]["random_rotation"]["mig"] < 0.5


def test_evaluate_a_model_on_drawn_factors(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.json"
    options = ("--metrics", "active_dims", "--fast", "--no-controls", "--json", str(output))
    dataset = ("--dataset", "shapes3d-equivalent", "--device", "cpu")
    assert run("evaluate", str(tiny_checkpoint), *dataset, *options) == 0
    result = json.loads(output.read_text())
    assert result["dataset"] == "shapes3d-equivalent" and result["protocol"] == "fast"
    assert set(result["sampled"]) >= {"active_dims"} and "controls" not in result


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give MODEL with --dataset NAME, or --representation FILE.npz"),
        (("MODEL",), "No data set was given"),
        (("MODEL", "--dataset", "nowhere"), "nowhere"),
        (("--representation", "nowhere.npz"), "There is no file nowhere.npz"),
        (
            ("--representation", "nowhere.npz", "--codes", "semantic", "--no-sampled"),
            "which --codes and --no-sampled would be for. Leave them out, or give MODEL",
        ),
        (("--representation", "nowhere.npz", "--cache", "."), "which --cache would be for"),
        (("--representation", "nowhere.npz", "--dataset", "heads"), "--dataset would be for"),
        (("--representation", "nowhere.npz", "--device", "cpu"), "--device would be for"),
        (("MODEL", "--dataset", "heads", "--metrics", "mug"), "no metric named mug"),
    ],
)
def test_evaluate_refuses(
    tiny_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    given = [str(tiny_checkpoint) if word == "MODEL" else word for word in arguments]
    assert_wrong_input(capsys, run("evaluate", *given), words)


@pytest.mark.parametrize("place", ["nowhere/scores.json", "."])
def test_evaluate_looks_at_its_output_before_the_work(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*arguments: object, **more: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("comfyui_cldis.evaluate.evaluate_arrays", work)
    code = run("evaluate", "--representation", "codes.npz", "--json", place)
    assert_wrong_input(capsys, code, f"--json is {place}. Name a file in a folder that exists.")


def test_cancelling(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "read_header", interrupted)
    assert run("info", tiny_checkpoint) == 130
    assert capsys.readouterr().err == "Cancelled.\n"


@pytest.mark.parametrize(
    ("package", "words", "installed"),
    [
        (
            "sklearn",
            ["evaluate", "--representation", "codes.npz", "--metrics", "dci", "--fast"],
            "scikit-learn",
        ),
        ("cv2", ["track", "MODEL"], "opencv-python-headless"),
        ("h5py", ["evaluate", "MODEL", "--dataset", "set.h5"], "h5py"),
    ],
)
def test_a_package_that_one_command_needs(
    tiny_checkpoint, tmp_path, monkeypatch, capsys, package, words, installed
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    factors = np.random.default_rng(0).integers(0, 4, (100, 3))
    np.savez("codes.npz", codes=factors.astype(np.float32), factors=factors)
    Path("set.h5").write_bytes(b"")
    given = [str(tiny_checkpoint) if word == "MODEL" else word for word in words]
    assert_wrong_input(capsys, run(*given), "is not installed", f"pip install {installed}")


@pytest.mark.parametrize("package", ["torch", "numba"])
def test_without_a_package(
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: str,
) -> None:
    def missing(path: Path) -> None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.core")

    monkeypatch.setattr(checkpoint, "read_header", missing)
    assert_wrong_input(
        capsys, run("info", tiny_checkpoint), f"The package {package} is not installed"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_is_a_sentence(
    tiny_checkpoint: Path,
    portrait: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("comfyui_cldis.editing.render.render", fail)
    code = run("edit", portrait, "--set", "yaw=1", "--model", tiny_checkpoint)
    assert_wrong_input(capsys, code, "Memory ran out", "Close other programs", "--device cpu")


def test_a_full_disk_is_a_sentence(
    tiny_checkpoint: Path,
    portrait: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(self: object, path: Path, edited: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("comfyui_cldis.imaging.photograph.Photograph.save", fail)
    arguments = ["--set", "yaw=1", "--steps", 1, "--model", tiny_checkpoint]
    code = run("edit", portrait, *arguments, "--output", "a.png")
    fact = "no room on the disk while a.png was written (No space left on device)"
    assert_wrong_input(capsys, code, fact, "Free space, or write to another disk")


def test_other_runtime_errors_are_not_hidden(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(checkpoint, "read_header", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run("info", tiny_checkpoint)


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert_wrong_input(capsys, run(), "COMMAND", "cldis --help")
    assert_wrong_input(capsys, run("xyzzy"), "There is no command 'xyzzy'. Use one of demo, edit,")
    assert_wrong_input(capsys, run("eidt"), "There is no command 'eidt'. Did you mean 'edit'?")
    assert_wrong_input(capsys, run("Traverse", "x.png"), "Did you mean 'traverse'?")
    assert_wrong_input(capsys, run("trian", "--data", "x"), "Did you mean 'train'?")


def test_help_needs_no_torch() -> None:
    """`cldis --help` answers at once: reading the arguments imports nothing heavy."""
    script = (
        "import sys; "
        "from comfyui_cldis.cli.main import build_parser; build_parser().format_help(); "
        "print(sorted({'torch', 'numpy', 'diffusers', 'PIL'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(comfyui_cldis.__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_rename_keeps_weights_and_the_quality_figure(
    make_model: Callable[..., EditableModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(seed=3)
    known = DirectionQuality(monotone=0.75)
    directions = tuple(dataclasses.replace(each, quality=known) for each in model.directions)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, dataclasses.replace(model, directions=directions), dtype=torch.float16)
    before = checkpoint.load_checkpoint(path)
    assert run("rename", path, "yaw", "turn", "--labels", "to the left", "to the right") == 0
    after = checkpoint.load_checkpoint(path)
    assert [each.name for each in after.directions] == ["hair length", "turn"]
    assert after.direction("turn").positive_label == "to the right"
    assert after.direction("turn").quality == known
    assert checkpoint.read_header(path).stored_dtype == "float16"
    for name, tensor in before.networks.state_dict().items():
        assert torch.equal(tensor, after.networks.state_dict()[name])
    assert run("rename", path, "turn", "turn", "--reverse") == 0
    turned, first = checkpoint.load_checkpoint(path).direction("turn"), after.direction("turn")
    assert (turned.negative_label, turned.positive_label) == ("to the right", "to the left")
    assert (turned.minimum, turned.maximum) == (-first.maximum, -first.minimum)
    assert turned.displacement(1.5) == pytest.approx(first.displacement(-1.5))
    assert "turned round" in capsys.readouterr().out
    code = run("rename", path, "turn", "hair length")
    assert_wrong_input(capsys, code, "Another direction", "'hair length'", "Choose another")
    assert_wrong_input(capsys, run("rename", path, "yaw", "x"), "'yaw' is not in", "turn")
