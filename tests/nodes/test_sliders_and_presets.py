"""What the browser is told of sliders and presets, and what it may change."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from comfyui_cldis.checkpoint import demo_model_path, read_header
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, preset_files
from comfyui_cldis.nodes.preset_files import preset_names, presets_of, read_preset, save_preset
from comfyui_cldis.nodes.slider_list import name_slider, sliders_of

MODEL = "heads.safetensors"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, make_folder_paths, monkeypatch) -> Path:
    """models/cldis with a copy of the bundled model."""
    models = tmp_path / "models"
    (models / "cldis").mkdir(parents=True)
    shutil.copy(demo_model_path(), models / "cldis" / MODEL)
    paths = make_folder_paths(models_dir=str(models), folder_names_and_paths={}, base=tmp_path)
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    return models / "cldis"


def test_sliders_come_in_the_order_of_the_model_with_pictures() -> None:
    directions = read_header(demo_model_path()).directions
    found = sliders_of(MODEL)["sliders"]
    assert [each["id"] for each in found] == [each.name for each in directions]
    for each, direction in zip(found, directions, strict=True):
        assert (each["min"], each["max"]) == (direction.minimum, direction.maximum)
        start, _, data = each["strip"].partition(",")
        assert start == "data:image/png;base64"
        strip = Image.open(io.BytesIO(base64.b64decode(data)))
        side = direction.thumbnails.shape[1]
        assert strip.size == (3 * side, side)


def test_a_name_given_in_the_browser_is_shown_and_edits_keep_the_name_of_the_file(folder) -> None:
    own = sliders_of(MODEL)["sliders"][0]
    changed = name_slider(MODEL, own["id"], "glow", ("dull", "bright"), True)["sliders"][0]
    assert (changed["id"], changed["name"]) == (own["id"], "glow")
    assert (changed["low"], changed["high"], changed["flipped"]) == ("dull", "bright", True)
    assert (changed["min"], changed["max"]) == (-own["max"], -own["min"])
    before = NODE_CLASS_MAPPINGS["CLDIS_LoadModel"].IS_CHANGED(MODEL, "auto")
    assert name_slider(MODEL, own["id"], "", ("", ""), False)["sliders"][0] == own
    assert NODE_CLASS_MAPPINGS["CLDIS_LoadModel"].IS_CHANGED(MODEL, "auto") != before


@pytest.mark.parametrize("model", ["none.safetensors", "../heads.safetensors", "", "/etc/passwd"])
def test_only_models_that_are_listed_are_read(model: str) -> None:
    for call in (sliders_of, presets_of, lambda name: save_preset(name, "a", "{}")):
        with pytest.raises(FileNotFoundError, match="is not in"):
            call(model)


def test_presets_are_saved_listed_read_and_scaled(folder: Path) -> None:
    found = save_preset(MODEL, "Évening glow", '{"light": -1.5, "skin": 1}')
    assert found == {"Évening glow": {"light": -1.5, "skin": 1}} == presets_of(MODEL)
    assert (folder / "presets" / "heads" / "Évening glow.json").is_file()
    node = NODE_CLASS_MAPPINGS["CLDIS_LoadPreset"]
    assert node.INPUT_TYPES()["required"]["preset"][0] == ["none", "heads/Évening glow"]
    assert node.VALIDATE_INPUTS("heads/Évening glow") is True
    assert json.loads(node().execute("heads/Évening glow", 2.0)[0]) == {"light": -3.0, "skin": 2.0}
    assert node().execute("none", 1.0) == ("{}",)
    each = save_preset(MODEL, "each", '[{"light": 1}, {}]')
    assert each["each"] == [{"light": 1}, {}]
    assert json.loads(node().execute("heads/each", 0.5)[0]) == [{"light": 0.5}, {}]


def test_a_changed_preset_is_read_again_where_its_name_is_linked(folder: Path) -> None:
    """ComfyUI gives None for a name that comes over a link."""
    node = NODE_CLASS_MAPPINGS["CLDIS_LoadPreset"]
    seen = [node.IS_CHANGED(None, 1.0)]
    for edits in ("{}", '{"skin": 1}'):
        save_preset(MODEL, "mine", edits)
        assert node.IS_CHANGED(None, 1.0) == node.IS_CHANGED(None, 1.0)
        seen.append(node.IS_CHANGED(None, 1.0))
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "..", ".a", "a\\b", "a:b", "a\nb", "x" * 61, "a.", "con", "LPT1.x", "nul .x"],
)
def test_names_that_no_file_should_have_are_refused(name: str, folder: Path) -> None:
    with pytest.raises(ValueError):
        save_preset(MODEL, name, "{}")
    assert not (folder / "presets").exists()


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "thousands of brackets"),
        ('{"#other": NaN}', "finite"),  # NaN is no JSON to a browser: it would lose the whole list
        ('{"#other": "1"}', "expected a number"),
    ],
)
def test_edits_that_are_none_are_not_saved(edits: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save_preset(MODEL, "a", edits)
    assert presets_of(MODEL) == {}
    assert save_preset(MODEL, "a", " ") == {"a": {}}


def test_presets_are_saved_in_models_cldis_and_read_from_registered_folders_too(
    folder: Path, tmp_path: Path
) -> None:
    save_preset(MODEL, "mine", '{"skin": 1}')
    shutil.move(folder / "presets", tmp_path / "extra" / "presets")
    paths, _ = sys.modules["folder_paths"].folder_names_and_paths["cldis"]
    paths.insert(0, str(tmp_path / "extra"))  # as extra_model_paths.yaml, and as its is_default
    assert presets_of(MODEL) == {"mine": {"skin": 1}}
    assert save_preset(MODEL, "mine", '{"skin": 2}') == {"mine": {"skin": 2}}
    assert (folder / "presets" / "heads" / "mine.json").is_file()
    assert json.loads(read_preset("heads/mine")) == {"skin": 2}


def test_presets_of_a_model_in_a_folder_are_not_those_of_its_namesake(folder: Path) -> None:
    save_preset(MODEL, "flat", "{}")
    (folder / "presets" / "heads" / "other").mkdir()  # of heads/other.safetensors
    shutil.copy(
        folder / "presets" / "heads" / "flat.json",
        folder / "presets" / "heads" / "other" / "deep.json",
    )
    assert presets_of(MODEL) == {"flat": {}}
    assert read_preset("heads/other/deep") == "{}"


def test_presets_are_listed_once_however_many_there_are(monkeypatch) -> None:
    for name in ("one", "two", "three"):
        save_preset(MODEL, name, "{}")
    listed = []
    monkeypatch.setattr(preset_files, "preset_names", lambda: listed.append(1) or preset_names())
    assert set(presets_of(MODEL)) == {"one", "two", "three"}
    assert len(listed) == 1


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": "cldis_preset", "version": 1}', "[" * 200_000]
)
def test_a_damaged_preset_is_named_and_the_others_stay(folder: Path, content: str) -> None:
    save_preset(MODEL, "good", "{}")
    (folder / "presets" / "heads" / "bad.json").write_text(content)
    assert presets_of(MODEL) == {"good": {}}
    sentence = NODE_CLASS_MAPPINGS["CLDIS_LoadPreset"].VALIDATE_INPUTS("heads/bad")
    assert "heads/bad" in sentence and "bad.json" in sentence


def test_what_is_no_file_is_not_listed(folder: Path) -> None:
    save_preset(MODEL, "good", "{}")
    (folder / "presets" / "heads" / "folder.json").mkdir()
    (folder / "presets" / "heads" / "gone.json").symlink_to(folder / "nothing")
    (folder / "presets" / "heads" / "loop.json").symlink_to("loop.json")
    assert preset_names() == ["heads/good"]
    assert presets_of(MODEL) == {"good": {}}


def test_a_preset_that_cannot_be_read_is_named_and_the_others_stay(
    folder: Path, monkeypatch
) -> None:
    for name in ("good", "locked", "removed"):
        save_preset(MODEL, name, "{}")
    path, opened = folder / "presets" / "heads", Path.open
    node = NODE_CLASS_MAPPINGS["CLDIS_LoadPreset"]

    def refused(self: Path, *arguments, **more):
        if self.stem == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", refused)
    assert node.VALIDATE_INPUTS("heads/locked") == (
        "Preset 'heads/locked' cannot be read (Permission denied). Allow ComfyUI to read "
        "locked.json."
    )
    listed = preset_names()
    monkeypatch.setattr(preset_files, "preset_names", lambda: listed)
    (path / "removed.json").unlink()  # after it was listed
    assert presets_of(MODEL) == {"good": {}}
    assert "'heads/removed' has been deleted. Choose" in node.VALIDATE_INPUTS("heads/removed")


def test_no_name_leads_out_of_the_folder(folder: Path) -> None:
    (folder / "secret.json").write_text('{"format": "cldis_preset", "version": 1, "edits": {}}')
    (folder / "presets").mkdir()
    with pytest.raises(FileNotFoundError, match="Choose one of"):
        read_preset("../secret")
