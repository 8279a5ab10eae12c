"""Names beside a model file: shown everywhere, undone at any time, old edits keep their meaning."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from comfyui_cldis.checkpoint import (
    CheckpointError,
    demo_model_path,
    load_checkpoint,
    read_header,
)
from comfyui_cldis.checkpoint.rewrite import write_model
from comfyui_cldis.checkpoint.slider_names import names_path, renamed, store_names
from comfyui_cldis.cli.directions import prune, rename
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import edit


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    return Path(shutil.copy(demo_model_path(), tmp_path / "heads.safetensors"))


def name(path: Path, slider: str, new: str, labels=("", ""), **options) -> None:
    store_names(path, renamed(read_header(path).directions, slider, new, labels, **options))


def moved(path: Path, edits: dict[str, float]) -> torch.Tensor:
    model = load_checkpoint(path)
    return edit(model, Latent(torch.zeros(1, model.networks.config.latent_dim)), edits).z


def test_a_renamed_and_flipped_slider_moves_the_other_way_and_the_old_name_as_before(
    model_path: Path,
) -> None:
    first = read_header(model_path).directions[0]
    before = moved(model_path, {first.name: 1.5})
    content = model_path.read_bytes()
    name(model_path, first.name, "brightness", ("dark", "bright"), is_flipped=True)
    shown = read_header(model_path).directions[0]
    assert (shown.name, shown.negative_label, shown.positive_label) == (
        "brightness",
        "dark",
        "bright",
    )
    assert (shown.minimum, shown.maximum) == (-first.maximum, -first.minimum)
    assert torch.equal(moved(model_path, {"brightness": -1.5}), before)
    assert torch.equal(moved(model_path, {first.name: 1.5}), before)
    assert model_path.read_bytes() == content
    # its own name gives everything back, and no file is left
    name(model_path, "brightness", first.name, (first.negative_label, first.positive_label))
    assert read_header(model_path).directions[0] == first
    assert not names_path(model_path).exists()


def test_both_names_of_one_slider_in_one_edit_are_refused(model_path: Path) -> None:
    first = read_header(model_path).directions[0].name
    name(model_path, first, "brightness")
    with pytest.raises(ValueError, match="given twice"):
        moved(model_path, {first: 1, "brightness": 1})


@pytest.mark.parametrize("new", ["", "  ", "two\nlines", "x" * 61, None])
def test_names_that_cannot_be_are_refused(model_path: Path, new) -> None:
    first = read_header(model_path).directions[0].name
    with pytest.raises(ValueError, match="cannot be used"):
        name(model_path, first, new)


def test_a_name_that_is_taken_now_or_in_the_file_is_refused(model_path: Path) -> None:
    first, second, third = (each.name for each in read_header(model_path).directions[:3])
    name(model_path, first, "brightness")
    for taken in ("brightness", first, third):
        with pytest.raises(ValueError, match="Another slider"):
            name(model_path, second, taken)
    with pytest.raises(ValueError, match="passed over"):
        name(model_path, second, "#other")
    with pytest.raises(ValueError, match="keeps its meaning"):
        name(model_path, second, second, is_flipped=True)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"format": "other"}',
        '{"format": "cldis_sliders", "version": 1, "sliders": [1]}',
        '{"format": "cldis_sliders", "version": 1, "sliders": {"light": {"name": 3}}}',
        '{"format": "cldis_sliders", "version": 1, "sliders": {"light": {"name": "skin"}}}',
        '{"format": "cldis_sliders", "version": 1, "sliders": {"light": {"name": "light", '
        '"flipped": true}}}',
        '{"format": "cldis_sliders", "version": 9, "sliders": {}}',
        100_000 * "[",
    ],
    ids=lambda content: content[:20],
)
def test_a_damaged_file_of_names_is_named_with_a_remedy(model_path: Path, content: str) -> None:
    names_path(model_path).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"heads\.sliders\.json .*[dD]elete"):
        read_header(model_path)


def test_names_of_sliders_that_the_model_lacks_are_passed_over(model_path: Path) -> None:
    before = read_header(model_path).directions
    content = {"format": "cldis_sliders", "version": 1, "sliders": {"gone": {"name": "other"}}}
    names_path(model_path).write_text(json.dumps(content), encoding="utf-8")
    assert read_header(model_path).directions == before


def test_writing_the_model_anew_keeps_its_own_names_and_the_ones_beside_it(
    model_path: Path, tmp_path: Path
) -> None:
    own = read_header(model_path).directions
    name(model_path, own[0].name, "brightness", ("dark", "bright"), is_flipped=True)
    named = read_header(model_path).directions
    copy = tmp_path / "copy.safetensors"
    write_model(model_path, load_checkpoint(model_path), copy)
    assert read_header(copy).directions == named
    names_path(copy).unlink()
    assert read_header(copy).directions == own


def test_the_rename_and_prune_commands_take_both_names(model_path: Path) -> None:
    own = read_header(model_path).directions
    name(model_path, own[0].name, "brightness")
    name(model_path, own[1].name, "second")
    prune(model_path, ["second"], None, None)
    assert [each.name for each in read_header(model_path).directions][0] == "brightness"
    rename(model_path, own[0].name, "glow", None, None)
    assert read_header(model_path).directions[0].name == "glow"
    assert not names_path(model_path).exists()  # it is in the model file now
