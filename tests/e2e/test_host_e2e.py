"""What ComfyUI asks of a pack: memory given back, Cancel, previews, time left, no growth."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from comfyui_cldis.nodes.sample_image import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "odd-name-1.2"
BUNDLED = "cldis_demo (bundled)"
TINY = "tiny.safetensors"
MODEL, ENCODE, EDIT, DECODE, SAVE = "model", "encode", "edit", "decode", "save"
TEXT_EVENT = 3  # ComfyUI's BinaryEventTypes
PREVIEW_EVENTS = {1, 4}
GROWTH_BYTES = 12 << 20  # that 150 prompts may add; 2 were seen


def graph(model: str, edits: dict[str, float], steps: int = 2, **decode: Any) -> dict[str, Any]:
    """A sample head, encoded, edited, decoded and saved."""
    return {
        "sample": {
            "class_type": "CLDIS_SampleImage",
            "inputs": {"sample": SAMPLES[1], "batch_size": 1},
        },
        MODEL: {
            "class_type": "CLDIS_LoadModel",
            "inputs": {"model_name": model, "dtype": "auto"},
        },
        ENCODE: {
            "class_type": "CLDIS_Encode",
            "inputs": {
                "model": [MODEL, 0],
                "image": ["sample", 0],
                "inversion_steps": steps,
                "resize": "crop",
            },
        },
        EDIT: {
            "class_type": "CLDIS_EditSliders",
            "inputs": {
                "model": [MODEL, 0],
                "latent": [ENCODE, 0],
                "edits": json.dumps(edits),
            },
        },
        DECODE: {
            "class_type": "CLDIS_Decode",
            "inputs": {
                "model": [MODEL, 0],
                "latent": [EDIT, 0],
                "sampler": "ddim",
                "steps": steps,
                "noise": "inverted",
                "seed": 0,
                "size": "model",
            }
            | decode,
        },
        SAVE: {
            "class_type": "SaveImage",
            "inputs": {"images": [DECODE, 0], "filename_prefix": "host"},
        },
    }


def free(comfy: Any) -> None:
    assert comfy.post("/free", {"unload_models": True, "free_memory": True})[0] == 200


def until(condition: Any, limit_sec: float = 20) -> bool:
    deadline = time.monotonic() + limit_sec
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def events(comfy: Any, prompt: dict[str, Any], **extra: Any) -> list[Any]:
    """All that the server tells the tab that submits a prompt, bytes and texts, until its end."""
    websocket = pytest.importorskip("websocket", reason="needs the package websocket-client")
    connection = websocket.create_connection(f"{comfy.socket_url}?clientId=host", timeout=120)
    try:
        comfy.submit(prompt, client_id="host", extra_data=extra)
        found = []
        while True:
            message = connection.recv()
            found.append(message)
            if isinstance(message, str):
                content = json.loads(message)
                data = content.get("data", {})
                assert content["type"] != "execution_error", data
                if content["type"] == "executing" and data.get("node") is None:
                    return found
    finally:
        connection.close()


def kinds(found: list[Any]) -> list[int]:
    return [struct.unpack(">I", each[:4])[0] for each in found if isinstance(each, bytes)]


def test_networks_are_on_the_gpu_whole_or_not_at_all(comfyui, comfyui_python) -> None:
    done = subprocess.run(
        [comfyui_python, ROOT / "tests" / "e2e" / "pretended_gpu.py", ROOT],
        cwd=comfyui,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["copied once"]
    for stage in ("used", "used again", "used after", "used with NO_VRAM"):
        assert found[stage] == ["cuda"], stage
    for stage in ("room made", "freed", "freed with NO_VRAM"):
        assert found[stage] == ["cpu"], stage


def test_the_server_loads_the_pack_without_a_warning(comfy) -> None:
    log = (comfy.base / "server.log").read_text(errors="replace")
    (seconds,) = re.findall(rf"([\d.]+) seconds(?: \(.*\))?: .*{re.escape(FOLDER)}", log)
    assert float(seconds) <= 0.5, "aim: 0.2; this allows for a busy machine"
    named = [line for line in log.splitlines() if FOLDER in line or "CLDis" in line]
    wrong = re.compile("warn|fail|error|deprecat|traceback", re.IGNORECASE)
    assert [line for line in named if wrong.search(line)] == []


def test_free_lets_go_of_all_that_the_pack_holds(comfy) -> None:
    comfy.run(graph(TINY, {"yaw": 1}))
    assert comfy.get("/probe")["networks"] > 0
    free(comfy)
    assert until(lambda: comfy.get("/probe")["networks"] == 0), comfy.get("/probe")
    assert comfy.get("/probe")["latents"] == 0
    assert comfy.run(graph(TINY, {"yaw": 1})).images()


def test_queued_prompts_with_different_models_do_not_mix(comfy) -> None:
    prompts = [graph(TINY, {"yaw": 1.2}), graph(BUNDLED, {"skin": 1.2})]
    prompts = [prompts[0], prompts[1], graph(TINY, {"yaw": -1}), graph(BUNDLED, {"skin": -1})]
    alone = []
    for prompt in prompts:
        free(comfy)
        alone.append(comfy.run(prompt).images()[0].tobytes())
    assert len(set(alone)) == len(alone)
    free(comfy)
    assert until(lambda: comfy.get("/probe")["networks"] == 0)
    ids = [comfy.submit(prompt) for prompt in prompts]
    queued = [comfy.wait(each).images()[0].tobytes() for each in ids]
    assert queued == alone


def test_cancel_ends_a_long_decode_within_two_seconds(comfy) -> None:
    prompt_id = comfy.submit(graph(BUNDLED, {"skin": 0.7}, method="decoded", steps=1000))
    assert until(lambda: comfy.get("/queue")["queue_running"])
    time.sleep(2)
    assert comfy.get("/queue")["queue_running"]
    started = time.monotonic()
    comfy.post("/interrupt", {})
    run = comfy.wait(prompt_id)
    assert time.monotonic() - started < 2
    assert "execution_interrupted" in run.messages


@pytest.mark.parametrize("method", ["auto", "none"])
def test_previews_follow_the_setting_of_the_user(comfy, comfyui, method) -> None:
    if "set_preview_method" not in (comfyui / "latent_preview.py").read_text(encoding="utf-8"):
        pytest.skip("this ComfyUI has one setting for all, given when it starts")
    prompt = graph(BUNDLED, {"skin": 0.5 if method == "auto" else 0.6}, method="decoded")
    found = kinds(events(comfy, prompt, preview_method=method))
    assert bool(PREVIEW_EVENTS & set(found)) == (method == "auto")


def test_long_work_says_how_much_is_left(comfy) -> None:
    prompt = graph(BUNDLED, {}, steps=60)
    prompt["sample"]["inputs"] |= {"sample": SAMPLES[0], "batch_size": 8}
    prompt["many"] = {
        "class_type": "RepeatImageBatch",
        "inputs": {"image": ["sample", 0], "amount": 4},
    }
    prompt[ENCODE]["inputs"]["image"] = ["many", 0]
    texts = []
    for message in events(comfy, prompt):
        if isinstance(message, bytes) and struct.unpack(">I", message[:4])[0] == TEXT_EVENT:
            (length,) = struct.unpack(">I", message[4:8])
            assert message[8 : 8 + length].decode() == ENCODE
            texts.append(message[8 + length :].decode())
    assert texts, "the work was done in 2 seconds"
    pattern = r"\d+ of 32 images, \d+ (s|min) left"
    assert all(re.fullmatch(pattern, text) for text in texts[:-1]), texts
    assert re.fullmatch(r"32 images in \d+ (s|min)", texts[-1])


@pytest.mark.slow
def test_two_hundred_prompts_do_not_grow(comfy) -> None:
    free(comfy)
    used = {}
    for index in range(1, 201):
        prompt = graph(TINY, {"yaw": index / 100}, method="decoded")
        assert comfy.run(prompt).status == "success"
        if index in (50, 200):
            used[index] = comfy.get("/probe")
    for kind in ("networks", "latents"):
        assert used[50][kind] == used[200][kind]
    grown = used[200]["bytes"] - used[50]["bytes"]
    assert grown < GROWTH_BYTES, used
