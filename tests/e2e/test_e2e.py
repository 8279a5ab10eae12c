"""The pack in a real ComfyUI, over HTTP, on the CPU, with a tiny random model."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from comfyui_cldis.checkpoint import demo_model_path
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ROOT = Path(__file__).resolve().parents[2]
TRAINING = "train_model.api.json"
# The one that trains for minutes is in test_train_e2e.py.
WORKFLOWS = sorted(
    set((ROOT / "workflows" / "api").glob("*.json")) - {ROOT / "workflows" / "api" / TRAINING}
)
EDIT = json.loads((ROOT / "workflows" / "api" / "edit_image.api.json").read_text(encoding="utf-8"))
LOAD_IMAGE, LOAD_MODEL, ENCODE, SLIDERS, DECODE, SAVE = "123456"


def tiny_graph(edits: Any = '{"yaw": 1}', model: str = "tiny.safetensors", steps: int = 3) -> Any:
    """The shipped workflow with the tiny model and few steps."""
    graph = copy.deepcopy(EDIT)
    graph[LOAD_IMAGE] = {"class_type": "LoadImage", "inputs": {"image": "wide.png"}}
    graph[LOAD_MODEL]["inputs"]["model_name"] = model
    graph[ENCODE]["inputs"]["inversion_steps"] = steps
    graph[SLIDERS]["inputs"]["edits"] = edits
    graph[DECODE]["inputs"]["steps"] = steps
    return graph


def direction_graph(direction: str, amount: float) -> Any:
    graph = tiny_graph()
    graph[SLIDERS] = {
        "class_type": "CLDIS_EditDirection",
        "inputs": {
            "model": [LOAD_MODEL, 0],
            "latent": [ENCODE, 0],
            "direction": direction,
            "amount": amount,
        },
    }
    return graph


def test_the_nodes_are_listed_with_their_texts(comfy) -> None:
    listed = comfy.get("/object_info")
    for node_id, node in NODE_CLASS_MAPPINGS.items():
        info = listed[node_id]
        assert info["display_name"] == NODE_DISPLAY_NAME_MAPPINGS[node_id]
        assert info["description"] == node.DESCRIPTION
        assert info["output_tooltips"] == list(node.OUTPUT_TOOLTIPS)
        assert info["output_node"] is False
        assert list(info["input"]["required"]) == list(node.INPUT_TYPES()["required"])
    choices = listed["CLDIS_LoadModel"]["input"]["required"]["model_name"][0]
    assert choices[0] == "cldis_demo (bundled)"
    assert {"tiny.safetensors", "elsewhere.safetensors"} <= set(choices)
    assert "README.txt" not in choices


@pytest.mark.parametrize("node_id", NODE_CLASS_MAPPINGS)
def test_the_help_pages_are_served(comfy, node_id) -> None:
    text = comfy.get_text(f"/extensions/odd-name-1.2/docs/{node_id}.md")
    assert text.startswith(f"# {NODE_DISPLAY_NAME_MAPPINGS[node_id]}")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_runs_unedited(comfy, path) -> None:
    try:
        demo_model_path()
    except FileNotFoundError as error:
        pytest.skip(f"the bundled model is not there: {error}")
    images = comfy.run(json.loads(path.read_text(encoding="utf-8"))).images()
    assert images
    for image in images:
        assert image.convert("L").getextrema()[0] != image.convert("L").getextrema()[1]


def test_an_image_comes_out_at_its_size_with_its_workflow(comfy) -> None:
    (image,) = comfy.run(tiny_graph()).images()
    assert image.size == (90, 60)
    assert "CLDIS_EditSliders" in image.info["prompt"]


def test_a_moved_slider_does_not_encode_again(comfy) -> None:
    comfy.run(tiny_graph('{"yaw": 0.5}', steps=4))
    moved = comfy.run(tiny_graph('{"yaw": 0.75}', steps=4))
    assert moved.status == "success"
    assert {LOAD_IMAGE, LOAD_MODEL, ENCODE} <= moved.cached
    assert not {SLIDERS, DECODE} & moved.cached


def test_edits_may_come_over_a_link(comfy) -> None:
    for text, status in (('{"yaw": 1}', "success"), ("yaw=1", "error")):
        graph = tiny_graph(["7", 0])
        graph["7"] = {"class_type": "PrimitiveString", "inputs": {"value": text}}
        assert comfy.run(graph).status == status


def test_traverse_and_info(comfy) -> None:
    graph = tiny_graph()
    graph["7"] = {
        "class_type": "CLDIS_Traverse",
        "inputs": {
            "model": [LOAD_MODEL, 0],
            "latent": [ENCODE, 0],
            "direction": "yaw",
            "from_amount": -1,
            "to_amount": 1,
            "frames": 3,
            "mode": "grid",
            "sampler": "unipc",
            "steps": 2,
            "noise": "seed",
            "seed": 2**64 - 1,
            "size": "model",
        },
    }
    graph[SAVE]["inputs"]["images"] = ["7", 0]
    graph["8"] = {"class_type": "CLDIS_ModelInfo", "inputs": {"model": [LOAD_MODEL, 0]}}
    graph["9"] = {"class_type": "PreviewAny", "inputs": {"source": ["8", 0]}}
    run = comfy.run(graph)
    assert run.images()[0].size == (3 * 32 + 2 * 2, 32)
    assert any("yaw: -1.50 to +1.50" in text for text in run.texts())


def test_a_model_from_extra_model_paths(comfy) -> None:
    assert comfy.run(tiny_graph(model="elsewhere.safetensors")).images()


REFUSED = [
    (
        tiny_graph(model="gone.safetensors"),
        "model_name - Model 'gone.safetensors' is not in ",
    ),
    (
        tiny_graph(model="../../server.log"),
        "model_name - Model '../../server.log' is not in ",
    ),
    (
        tiny_graph('{"yaw": NaN}'),
        "edits - The amount of direction 'yaw' is nan; expected a finite number of standard "
        "deviations. Use 0 for no change.",
    ),
    (tiny_graph('{"yaw": "much"}'), "The amount of direction 'yaw' is \"much\"; expected a number"),
    (tiny_graph('{"yaw": 1, "yaw": 2}'), "Direction 'yaw' stands twice in edits."),
    (tiny_graph("yaw=1"), "edits is not valid JSON: "),
]


@pytest.mark.parametrize(("graph", "sentence"), REFUSED)
def test_what_is_refused_before_anything_runs(comfy, graph, sentence) -> None:
    assert sentence in comfy.refusal(graph)


STOPPED = [
    (
        tiny_graph('{"smlie": 1}'),
        "ValueError",
        "Direction 'smlie' is not in 'tiny.safetensors'. It has: hair length, yaw.",
    ),
    (
        direction_graph("smlie", 1.0),
        "ValueError",
        "Direction 'smlie' is not in 'tiny.safetensors'. It has: hair length, yaw.",
    ),
    (
        direction_graph("yaw", float("nan")),
        "ValueError",
        "The amount of direction 'yaw' is nan; expected a finite number of standard deviations.",
    ),
    (
        tiny_graph(model="cut off.safetensors"),
        "CheckpointError",
        "cut off.safetensors is damaged or incomplete: ",
    ),
    (
        tiny_graph(model="foreign.safetensors"),
        "CheckpointError",
        "foreign.safetensors is a safetensors file but not a CL-Dis model",
    ),
]


@pytest.mark.parametrize(("graph", "kind", "sentence"), STOPPED)
def test_what_stops_a_run_is_an_error_with_its_reason(comfy, graph, kind, sentence) -> None:
    run = comfy.run(graph)
    assert run.status == "error"
    assert sentence in run.error
    assert "\n" not in run.error
    assert run.messages["execution_error"]["exception_type"].split(".")[-1] == kind


def test_cancel_stops_a_run_at_once(comfy) -> None:
    graph = tiny_graph()
    graph[DECODE]["inputs"] |= {"steps": 1000, "sampler": "ddim"}
    prompt_id = comfy.submit(graph)
    deadline = time.monotonic() + 60
    while not comfy.get("/queue")["queue_running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    comfy.post("/interrupt", {})
    run = comfy.wait(prompt_id)
    assert "execution_interrupted" in run.messages
    assert comfy.run(tiny_graph()).status == "success"  # and the next run is none the worse


def test_progress_and_preview_arrive_in_order(comfy) -> None:
    websocket = pytest.importorskip("websocket", reason="needs the package websocket-client")
    connection = websocket.create_connection(f"{comfy.socket_url}?clientId=e2e", timeout=60)
    graph = tiny_graph('{"yaw": 0.3}')
    graph[DECODE]["inputs"]["steps"] = 5
    prompt_id = comfy.submit(graph, client_id="e2e", extra_data={"preview_method": "auto"})
    values, num_frames = [], 0
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            num_frames += 1
            continue
        content = json.loads(message)
        data = content.get("data", {})
        if content["type"] == "progress" and data.get("node") == DECODE:
            values.append((data["value"], data["max"]))
        if content["type"] == "executing" and data.get("node") is None:
            assert data["prompt_id"] == prompt_id
            break
    connection.close()
    # Newer servers pass on one update every 100 ms, the first and the last always.
    assert values[0] == (1, 5) and values[-1] == (5, 5)
    assert values == sorted(set(values))
    assert num_frames >= 1
