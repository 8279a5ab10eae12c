"""What a node of a graph was given, as a key: graphs that give it the same have the same key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Graph = Mapping[str, Any]  # as the API takes it: node id -> {"class_type", "inputs"}


def upstream_key(graph: Graph, node_id: str, names: tuple[str, ...]) -> str:
    """The key of what comes in at the inputs `names` of a node, whatever the nodes' ids are.

    Raises: KeyError for a node that the graph does not have.
    """
    known: dict[str, str] = {}
    inputs = graph[node_id].get("inputs", {})
    return _digest({name: _described(graph, inputs.get(name), known) for name in names})


def _described(graph: Graph, value: Any, known: dict[str, str]) -> Any:
    """A link as the key of the node it comes from, and which of its outputs; else the value."""
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    if not is_link or value[0] not in graph:
        return value
    source, slot = value
    if source not in known:
        known[source] = ""  # a loop, which ComfyUI refuses, must not hang us
        node = graph[source]
        inputs = {
            name: _described(graph, each, known) for name, each in node.get("inputs", {}).items()
        }
        known[source] = _digest([node.get("class_type"), inputs])
    return [known[source], slot]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
