"""The shipped workflows: the one for people and the one for the API describe the same graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfyui_cldis.checkpoint import demo_model_path, read_header
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
API_FILES = sorted((WORKFLOWS / "api").glob("*.api.json"))  # where no template browser looks
# Widgets of ComfyUI's own nodes, in the order in which workflows store them.
CORE_WIDGETS = {
    "LoadImage": ["image", None],
    "SaveImage": ["filename_prefix"],
    "PreviewImage": [],
    "PreviewAny": [],
    "SaveAnimatedWEBP": ["filename_prefix", "fps", "lossless", "quality", "method"],
    "SolidMask": ["value", "width", "height"],
    "MaskComposite": ["x", "y", "operation"],
}
NOTES = {"MarkdownNote", "Note"}


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def for_people(path: Path) -> Path:
    return WORKFLOWS / path.name.replace(".api.json", ".json")


def widgets_of(node_type: str) -> list[str | None]:
    """Names of a node's widgets in stored order; None for one that the API does not have."""
    if node_type in CORE_WIDGETS:
        return CORE_WIDGETS[node_type]
    names: list[str | None] = []
    types = NODE_CLASS_MAPPINGS[node_type].INPUT_TYPES()
    for name, (kind, *_) in {**types["required"], **types.get("optional", {})}.items():
        if isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN"):
            names.append(name)
            if name == "seed":  # the browser adds "control after generate"
                names.append(None)
    return names


def to_api(workflow: dict[str, Any]) -> dict[str, Any]:
    """What the browser sends for a workflow without subgraphs, switched-off nodes and titles."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        names = widgets_of(node["type"])
        values = node["widgets_values"]
        assert len(values) == len(names), f"{node['type']} stores {values} for {names}"
        inputs = {name: value for name, value in zip(names, values, strict=True) if name}
        for slot in node["inputs"]:
            if slot["link"] is not None:
                inputs[slot["name"]] = sources[slot["link"]]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def without_titles(prompt: dict[str, Any]) -> dict[str, Any]:
    return {key: {k: v for k, v in node.items() if k != "_meta"} for key, node in prompt.items()}


def test_all_templates_have_a_form_for_the_api_and_a_thumbnail() -> None:
    names = {path.stem for path in WORKFLOWS.glob("*.json")}
    assert len(names) == 5
    assert {path.name for path in API_FILES} == {f"{name}.api.json" for name in names}
    assert {path.stem for path in WORKFLOWS.glob("*.jpg")} == names


def test_the_blueprint_is_the_main_path_with_an_image_in_and_out() -> None:
    (path,) = (WORKFLOWS.parent / "subgraphs").glob("*.json")
    workflow = load(path)
    (definition,) = workflow["definitions"]["subgraphs"]
    (outer,) = workflow["nodes"]
    assert outer["type"] == definition["id"] and definition["name"] == path.stem
    nodes = {node["id"]: node for node in definition["nodes"]}
    assert [node["type"] for node in nodes.values()] == [
        "CLDIS_LoadModel",
        "CLDIS_Encode",
        "CLDIS_EditSliders",
        "CLDIS_Decode",
    ]
    for link in definition["links"]:
        if link["target_id"] in nodes:
            entry = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert entry["link"] == link["id"] and entry["type"] == link["type"]
    for node in nodes.values():
        assert len(node["widgets_values"]) == len(widgets_of(node["type"]))
    assert [entry["name"] for entry in definition["inputs"]] == ["image", "mask", "model_name"]
    assert [entry["type"] for entry in definition["outputs"]] == ["IMAGE"]


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.name)
def test_templates_run_untouched(path: Path) -> None:
    """No input picture of one's own, which nobody has at first."""
    assert "LoadImage" not in {node["class_type"] for node in load(path).values()}


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.name)
def test_both_forms_describe_the_same_graph(path: Path) -> None:
    workflow = load(for_people(path))
    assert to_api(workflow) == without_titles(load(path))


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.name)
def test_the_form_for_people_is_sound(path: Path) -> None:
    workflow = load(for_people(path))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for number, source, source_slot, target, target_slot, kind in workflow["links"]:
        output = nodes[source]["outputs"][source_slot]
        entry = nodes[target]["inputs"][target_slot]
        assert number in output["links"] and entry["link"] == number
        assert output["type"] == kind
        assert entry["type"] in (kind, "*")  # * takes anything
    assert any(node["type"] in NOTES for node in workflow["nodes"])


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.name)
def test_each_opening_of_a_template_is_a_workflow_of_its_own(path: Path) -> None:
    """Without an id ComfyUI's frontends make a new one each time; with one, two workflows made of
    one template would be one, and show each other's pictures."""
    assert "id" not in load(for_people(path))


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.name)
def test_the_sliders_move_directions_of_the_bundled_model(path: Path) -> None:
    try:
        known = {direction.name for direction in read_header(demo_model_path()).directions}
    except FileNotFoundError as error:
        pytest.skip(f"the bundled model is not there: {error}")
    for node in load(path).values():
        if node["class_type"] == "CLDIS_EditSliders" and "train" not in path.name:
            edits = json.loads(node["inputs"]["edits"])
            assert any(edits.values())
            assert set(edits) <= known
