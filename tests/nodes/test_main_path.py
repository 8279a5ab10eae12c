"""From an image to the edited image it is five nodes at most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


def behind(prompt: dict[str, Any], node_id: str) -> set[str]:
    """The node and all that it needs, by their ids."""
    found = {node_id}
    for value in prompt[node_id]["inputs"].values():
        if isinstance(value, list) and str(value[0]) in prompt:
            found |= behind(prompt, str(value[0]))
    return found


def test_five_nodes_make_an_edited_image() -> None:
    (path,) = WORKFLOWS.rglob("edit_image.api.json")
    prompt = json.loads(path.read_text(encoding="utf-8"))
    (last,) = (key for key, node in prompt.items() if node["class_type"] == "CLDIS_Decode")
    used = [prompt[key]["class_type"] for key in behind(prompt, last)]
    assert len(used) <= 5
    assert "CLDIS_EditSliders" in used
