"""Training in a real ComfyUI, over HTTP, on the CPU, with the smallest preset and few steps."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.checkpoint import read_header

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = json.loads(
    (ROOT / "workflows" / "api" / "train_model.api.json").read_text(encoding="utf-8")
)
TRAIN, INFO, TEXT, LOAD_IMAGE, ENCODE, SLIDERS, DECODE, SAVE = "12345678"
TRAIN_SEC = 900
STEPS = 8
NUM_IMAGES = 5


def training_graph(**inputs: Any) -> Any:
    """The shipped workflow with few steps on few images."""
    graph = copy.deepcopy(WORKFLOW)
    graph[TRAIN]["inputs"] |= {"folder": "few", "steps": STEPS} | inputs
    graph[LOAD_IMAGE] = {"class_type": "LoadImage", "inputs": {"image": "wide.png"}}
    graph[ENCODE]["inputs"]["inversion_steps"] = 3
    graph[DECODE]["inputs"]["steps"] = 3
    return graph


def batch_graph(images: tuple[str, ...], **inputs: Any) -> Any:
    """Nothing but a training from a batch; `steps` that would take for ever unless given."""
    graph = {key: copy.deepcopy(WORKFLOW[key]) for key in (TRAIN, INFO, TEXT)}
    for number, image in enumerate(images, start=10):
        graph[str(number)] = {"class_type": "LoadImage", "inputs": {"image": image}}
    batch = ["10", 0]
    if len(images) == 2:
        graph["20"] = {"class_type": "ImageBatch", "inputs": {"image1": batch, "image2": ["11", 0]}}
        batch = ["20", 0]
    graph[TRAIN]["inputs"] |= {"folder": "", "steps": 100_000, "images": batch} | inputs
    return graph


def run_folder(comfy: Any, name: str) -> Path:
    return comfy.base / "output" / "cldis_runs" / name


@pytest.fixture(scope="module")
def images(comfy) -> Path:
    folder = comfy.base / "input" / "few"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(NUM_IMAGES):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((60, 48), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(comfy, images) -> SimpleNamespace:
    """One finished training with everything the server reported of it."""
    websocket = pytest.importorskip("websocket", reason="needs the package websocket-client")
    connection = websocket.create_connection(f"{comfy.socket_url}?clientId=t", timeout=TRAIN_SEC)
    prompt_id = comfy.submit(
        training_graph(name="first"), client_id="t", extra_data={"preview_method": "auto"}
    )
    values, num_frames, node = [], 0, None
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            num_frames += node == TRAIN
            continue
        content = json.loads(message)
        data = content.get("data", {})
        if content["type"] == "executing":
            node = data.get("node")
            if node is None:
                break
        if content["type"] == "progress" and data.get("node") == TRAIN:
            values.append((data["value"], data["max"]))
    connection.close()
    run = comfy.wait(prompt_id)
    if run.status == "error" and "is not installed" in run.error:
        pytest.skip(run.error)
    assert run.status == "success", run.messages
    return SimpleNamespace(run=run, values=values, num_frames=num_frames)


def test_a_folder_becomes_a_model_that_edits_in_the_same_graph(comfy, trained) -> None:
    (image,) = trained.run.images()
    assert image.size == (90, 60)
    assert image.convert("L").getextrema()[0] != image.convert("L").getextrema()[1]
    assert any("first.safetensors" in text and "32 x 32" in text for text in trained.run.texts())
    header = read_header(comfy.base / "models" / "cldis" / "first.safetensors")
    assert header.facts.training.steps == STEPS
    assert header.facts.data_card.startswith(f"{NUM_IMAGES} images from few, 32 px.")
    assert (run_folder(comfy, "first") / "report.html").is_file()


def test_steps_move_the_bar_and_samples_come_as_previews(trained) -> None:
    steps = list(dict.fromkeys(trained.values))  # a preview repeats the step
    # Newer servers pass on one update every 100 ms, the first and the last always.
    assert steps[0] == (1, STEPS) and steps[-1] == (STEPS, STEPS)
    assert steps == sorted(steps)
    assert trained.num_frames >= 1


def test_the_loader_lists_the_model_and_reads_it(comfy, trained) -> None:
    listed = comfy.get("/object_info/CLDIS_LoadModel")["CLDIS_LoadModel"]
    assert "first.safetensors" in listed["input"]["required"]["model_name"][0]
    graph = training_graph()
    graph[TRAIN] = {
        "class_type": "CLDIS_LoadModel",
        "inputs": {"model_name": "first.safetensors", "dtype": "auto"},
    }
    (image,) = comfy.run(graph).images()
    assert image.tobytes() == trained.run.images()[0].tobytes()


def test_a_finished_run_comes_back_without_training(comfy, trained) -> None:
    folder = run_folder(comfy, "first")
    names = ("model.safetensors", "state.pt", "stats.jsonl", "published.txt")
    before = [(folder / name).stat().st_mtime_ns for name in names]
    fewer = comfy.run(training_graph(name="first", steps=STEPS - 1), TRAIN_SEC)
    assert fewer.status == "error" and "and steps cannot be undone" in fewer.error
    graph = training_graph(name="first", steps=STEPS)  # the refused graph took it from the cache
    again = comfy.run(graph, TRAIN_SEC)
    assert again.status == "success", again.messages
    assert TRAIN not in again.cached
    assert [(folder / name).stat().st_mtime_ns for name in names] == before
    assert TRAIN in comfy.run(graph).cached


def test_new_names_of_sliders_are_read_by_the_graph_that_trained_them(comfy, trained) -> None:
    graph = training_graph(name="first", steps=STEPS)
    assert comfy.run(graph, TRAIN_SEC).status == "success"
    assert TRAIN in comfy.run(graph, TRAIN_SEC).cached
    names = comfy.base / "models" / "cldis" / "first.sliders.json"
    # So short a training finds no sliders; names of others are passed over.
    sliders = {"format": "cldis_sliders", "version": 1, "sliders": {"code 0": {"name": "mine"}}}
    names.write_text(json.dumps(sliders), encoding="utf-8")
    try:
        again = comfy.run(graph, TRAIN_SEC)
        assert again.status == "success" and TRAIN not in again.cached
        assert TRAIN in comfy.run(graph, TRAIN_SEC).cached
    finally:
        names.unlink()


STOPPED = [
    (
        training_graph(name="first", training_seed=1),
        "holds a run with other settings (seed was 0). Give the settings it was started with, "
        "or choose another name.",
    ),
    (
        training_graph(name="tiny"),
        "tiny.safetensors is there already, and it is not as the run 'tiny' made it.",
    ),
    (training_graph(folder="no such folder"), "There is no folder or file "),
    (training_graph(folder=""), "images is not connected and folder is ''."),
    (batch_graph(("wide.png",)), "images holds 1 image; training needs at least 2"),
]


@pytest.mark.parametrize(("graph", "sentence"), STOPPED)
def test_what_stops_a_training_is_an_error_with_its_reason(comfy, trained, graph, sentence) -> None:
    run = comfy.run(graph, TRAIN_SEC)
    assert run.status == "error"
    assert sentence in run.error
    assert "\n" not in run.error


def test_a_bad_name_is_refused_before_anything_runs(comfy) -> None:
    assert "The name '../x' cannot name a file." in comfy.refusal(training_graph(name="../x"))


def test_cancel_saves_the_run_and_the_next_one_resumes(comfy, trained) -> None:
    Image.new("RGB", (40, 40), "teal").save(comfy.base / "input" / "teal.png")
    graph = batch_graph(("wide.png", "teal.png"), name="second")
    folder = run_folder(comfy, "second")
    for _ in range(2):
        logged = count_lines(folder / "stats.jsonl")
        prompt_id = comfy.submit(graph)
        deadline = time.monotonic() + TRAIN_SEC
        while count_lines(folder / "stats.jsonl") <= logged and time.monotonic() < deadline:
            time.sleep(0.2)
        comfy.post("/interrupt", {})
        run = comfy.wait(prompt_id, TRAIN_SEC)
        assert "execution_interrupted" in run.messages, run.messages
    steps = [json.loads(line)["step"] for line in (folder / "stats.jsonl").open()]
    assert len(steps) >= 2 and steps == sorted(set(steps))  # the second went on from the first
    assert (folder / "state.pt").is_file()
    assert len(list((folder / "second images").iterdir())) == 2
    assert not (comfy.base / "models" / "cldis" / "second.safetensors").exists()
    others = batch_graph(("teal.png", "wide.png"), name="second")
    assert "was started with other images" in comfy.run(others, TRAIN_SEC).error


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.mark.slow
def test_the_workflow_runs_unedited(comfy, trained) -> None:
    run = comfy.run(WORKFLOW, 3600)
    assert run.images() and run.texts()
