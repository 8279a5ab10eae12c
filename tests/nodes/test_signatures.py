"""Node ids, inputs, their order, defaults and outputs are API: saved workflows depend on them.

After an intended change `PYTHONPATH=. python tests/nodes/test_signatures.py` writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, NODES
from comfyui_cldis.nodes.model_files import BUNDLED

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("signatures.json")
NODE_LIST = ROOT / "node_list.json"
IDS = list(NODE_CLASS_MAPPINGS)


def inputs_of(node: Any) -> dict[str, Any]:
    types = node.INPUT_TYPES()
    assert set(types) <= {"required", "optional", "hidden"}
    return {**types["required"], **types.get("optional", {})}


def signature(node: Any) -> dict[str, Any]:
    inputs = []
    for name, (kind, *rest) in inputs_of(node).items():
        options = dict(rest[0]) if rest else {}
        options.pop("tooltip", None)
        inputs.append([name, kind, options])
    return {
        "inputs": inputs,
        "returns": list(zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True)),
        "category": node.CATEGORY,
    }


def signatures() -> dict[str, Any]:
    return {node_id: signature(node) for node_id, node in NODE_CLASS_MAPPINGS.items()}


def test_signatures_are_frozen() -> None:
    current = json.loads(json.dumps(signatures()))
    assert current == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_node_list_is_current() -> None:
    listed = json.loads(NODE_LIST.read_text(encoding="utf-8"))
    assert listed == NODE_DISPLAY_NAME_MAPPINGS
    assert list(listed) == sorted(listed)


def test_the_bundled_model_has_a_stable_name() -> None:
    assert BUNDLED == "cldis_demo (bundled)"
    assert NODE_CLASS_MAPPINGS["CLDIS_LoadModel"].INPUT_TYPES()["required"]["model_name"][0] == [
        BUNDLED
    ]


def test_the_table_is_complete_and_unique() -> None:
    assert len(NODE_CLASS_MAPPINGS) == len(NODES)
    assert all(node_id.startswith("CLDIS_") for node_id in IDS)
    titles = NODE_DISPLAY_NAME_MAPPINGS.values()
    assert all(title.isascii() and title.startswith("CLDis ") for title in titles)


@pytest.mark.parametrize(("node_id", "outputs"), [(row[0], row[-1]) for row in NODES])
def test_the_table_knows_the_outputs(node_id: str, outputs: tuple[str, ...]) -> None:
    assert outputs == NODE_CLASS_MAPPINGS[node_id].RETURN_TYPES


@pytest.mark.parametrize("node_id", IDS)
def test_everything_is_explained(node_id: str) -> None:
    node = NODE_CLASS_MAPPINGS[node_id]
    for name, spec in inputs_of(node).items():
        assert len(spec[1].get("tooltip", "")) > 15, f"{node_id}.{name} has no tooltip"
        if spec[0] in ("INT", "FLOAT"):
            assert {"default", "min", "max"} <= spec[1].keys(), f"{node_id}.{name}"
        if isinstance(spec[0], list):
            assert spec[1]["default"] in spec[0]
    assert len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    assert all(len(tooltip) > 15 for tooltip in node.OUTPUT_TOOLTIPS)
    assert 20 < len(node.DESCRIPTION) < 300
    assert len(node.SEARCH_ALIASES) >= 3
    assert node.CATEGORY.split("/")[0] == "CLDis"


@pytest.mark.parametrize("node_id", IDS)
def test_nodes_are_stateless_and_intermediate(node_id: str) -> None:
    node = NODE_CLASS_MAPPINGS[node_id]
    assert node.FUNCTION == "execute"
    assert not getattr(node, "OUTPUT_NODE", False)
    assert "__init__" not in vars(node)


@pytest.mark.parametrize("node_id", IDS)
def test_each_node_has_a_help_page_that_names_its_inputs(node_id: str) -> None:
    page = ROOT / "comfyui_cldis" / "web" / "docs" / f"{node_id}.md"
    text = page.read_text(encoding="utf-8")
    node = NODE_CLASS_MAPPINGS[node_id]
    assert text.startswith(f"# {NODE_DISPLAY_NAME_MAPPINGS[node_id]}\n")
    for name in [*inputs_of(node), *node.RETURN_NAMES]:
        assert f"`{name}`" in text, f"{page.name} does not mention {name}"


def test_there_are_no_help_pages_without_a_node() -> None:
    pages = (ROOT / "comfyui_cldis" / "web" / "docs").glob("*.md")
    assert {page.stem for page in pages} == set(IDS)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(signatures(), indent=1) + "\n", encoding="utf-8")
    listed = dict(sorted(NODE_DISPLAY_NAME_MAPPINGS.items()))
    NODE_LIST.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
