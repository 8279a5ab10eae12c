"""Keys of what a node is given: by content, not by ids, and blind to all else."""

from __future__ import annotations

import copy

import pytest

from comfyui_cldis.nodes.graph_key import upstream_key

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "CLDIS_LoadModel", "inputs": {"model_name": "m", "dtype": "auto"}},
    "3": {"class_type": "CLDIS_Encode", "inputs": {"model": ["2", 0], "image": ["1", 0]}},
    "4": {
        "class_type": "CLDIS_EditSliders",
        "inputs": {"model": ["2", 0], "latent": ["3", 0], "edits": "{}"},
    },
}


def key(graph, node: str = "4") -> str:
    return upstream_key(graph, node, ("model", "latent"))


def changed(node: str, name: str, value) -> dict:
    graph = copy.deepcopy(GRAPH)
    graph[node]["inputs"][name] = value
    return graph


def test_edits_and_ids_do_not_count() -> None:
    assert key(changed("4", "edits", '{"yaw": 1}')) == key(GRAPH)
    names = {"1": "10", "2": "9:2", "3": "x", "4": "y"}
    renamed = {
        names[node]: {
            **each,
            "inputs": {
                name: [names[value[0]], value[1]] if isinstance(value, list) else value
                for name, value in each["inputs"].items()
            },
        }
        for node, each in GRAPH.items()
    }
    assert key(renamed, "y") == key(GRAPH)


@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("1", "image", "b.png"),
        ("2", "model_name", "n"),
        ("3", "inversion_steps", 3),
        ("4", "latent", ["3", 1]),
        ("4", "latent", ["1", 0]),
        ("4", "latent", None),
    ],
)
def test_all_that_comes_before_counts(node: str, name: str, value) -> None:
    assert key(changed(node, name, value)) != key(GRAPH)


def test_odd_graphs_do_no_harm() -> None:
    with pytest.raises(KeyError):
        key(GRAPH, "5")
    assert key(changed("3", "image", ["4", 0]))  # a loop
    assert key(changed("3", "image", ["gone", 0]))
    assert key({"4": {"class_type": "CLDIS_EditSliders"}})
