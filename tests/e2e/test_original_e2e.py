"""Edits put into an image file at its own size, in a real ComfyUI with a tiny random model."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
EDIT = json.loads((ROOT / "workflows" / "api" / "edit_image.api.json").read_text(encoding="utf-8"))
LOAD_IMAGE, LOAD_MODEL, ENCODE, SLIDERS, DECODE, SAVE = "123456"
MORE = "7"  # and following: nodes that a test adds
WIDTH, HEIGHT = 512, 384
SQUARE = (slice(None), slice(64, 448))  # the central one


def edit_graph(edits: str = '{"yaw": 1.5}', **decode: Any) -> Any:
    """The shipped workflow with the large image, the tiny model, few steps and a strong edit."""
    graph = copy.deepcopy(EDIT)
    graph[LOAD_IMAGE] = {"class_type": "LoadImage", "inputs": {"image": "large.png"}}
    graph[LOAD_MODEL]["inputs"]["model_name"] = "tiny.safetensors"
    graph[ENCODE]["inputs"]["inversion_steps"] = 3
    graph[SLIDERS]["inputs"]["edits"] = edits
    graph[DECODE]["inputs"] |= {"steps": 3} | decode
    return graph


def drawn(seed: int) -> np.ndarray:
    """Coarse shapes under noise, uint8 (H, W, 3): any resampling would change it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-20, 21, (HEIGHT, WIDTH, 3))
    return (smooth + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def original(comfy) -> np.ndarray:
    """The pixels of the file large.png."""
    pixels = drawn(0)
    Image.fromarray(pixels).save(comfy.base / "input" / "large.png")
    return pixels


def saved(comfy: Any, graph: Any) -> list[np.ndarray]:
    """The pixels of the files that a run wrote."""
    images = comfy.run(graph).images()
    assert all(image.size == (WIDTH, HEIGHT) for image in images)
    return [np.asarray(image.convert("RGB")) for image in images]


def changed_by(comfy: Any, graph: Any, original: np.ndarray) -> np.ndarray:
    (pixels,) = saved(comfy, graph)
    return (pixels != original).any(-1)


def assert_only_within(is_changed: np.ndarray, region: tuple[slice, slice]) -> None:
    inside = np.zeros_like(is_changed)
    inside[region] = True
    assert is_changed[inside].mean() > 0.3
    assert not is_changed[~inside].any()


@pytest.mark.parametrize(
    ("edits", "strength"), [("{}", 1.0), ('{"yaw": 0}', 1.0), ('{"yaw": 1.5}', 0.0)]
)
@pytest.mark.parametrize("method", ["auto", "tracked", "decoded"])
def test_without_an_edit_the_file_keeps_its_pixels(comfy, original, edits, strength, method):
    graph = edit_graph(edits, strength=strength, method=method)
    assert not changed_by(comfy, graph, original).any()


@pytest.mark.parametrize("method", ["auto", "tracked", "decoded"])
def test_nothing_changes_outside_of_the_central_square(comfy, original, method) -> None:
    assert_only_within(changed_by(comfy, edit_graph(method=method), original), SQUARE)


def test_nothing_changes_outside_of_a_crop(comfy, original) -> None:
    graph = edit_graph()
    crop = {"crop_x": 300, "crop_y": 40, "crop_width": 200, "crop_height": 200}
    graph[ENCODE]["inputs"] |= crop
    is_changed = changed_by(comfy, graph, original)
    assert_only_within(is_changed, (slice(40, 240), slice(300, 500)))


def test_a_crop_outside_of_the_image_stops_with_the_image_s_size(comfy, original) -> None:
    graph = edit_graph()
    graph[ENCODE]["inputs"]["crop_x"] = WIDTH
    run = comfy.run(graph)
    assert run.status == "error" and "within the image of 512 x 384." in run.error


def test_half_the_strength_is_neither_nothing_nor_all(comfy, original) -> None:
    half, full = (
        np.abs(saved(comfy, edit_graph(strength=strength))[0].astype(float) - original).mean()
        for strength in (0.5, 1.0)
    )
    assert 0 < half < full


def test_a_solid_mask_lets_the_edit_act_nowhere_or_everywhere(comfy, original) -> None:
    graph = edit_graph()
    graph[DECODE]["inputs"]["mask"] = [MORE, 0]
    graph[MORE] = {
        "class_type": "SolidMask",
        "inputs": {"value": 0.0, "width": WIDTH, "height": HEIGHT},
    }
    assert not changed_by(comfy, graph, original).any()
    graph[MORE]["inputs"]["value"] = 1.0
    (masked,), (free,) = saved(comfy, graph), saved(comfy, edit_graph())
    assert (masked == free).all()


def test_a_mask_file_limits_the_edit_at_its_edge(comfy, original) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[100:300, 200:320] = 255
    colours = np.stack([mask, mask, mask], -1)
    Image.fromarray(colours).save(comfy.base / "input" / "mask.png")
    graph = edit_graph()
    graph[MORE] = {
        "class_type": "LoadImageMask",
        "inputs": {"image": "mask.png", "channel": "red"},
    }
    graph[DECODE]["inputs"]["mask"] = [MORE, 0]
    is_changed = changed_by(comfy, graph, original)
    assert_only_within(is_changed, (slice(100, 300), slice(200, 320)))


def test_a_mask_of_another_shape_stops_with_a_reason(comfy, original) -> None:
    graph = edit_graph()
    graph[MORE] = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 64, "height": 64}}
    graph[DECODE]["inputs"]["mask"] = [MORE, 0]
    run = comfy.run(graph)
    assert run.status == "error" and "64 x 64" in run.error and "512 x 384" in run.error


def test_a_batch_of_two_keeps_each_of_its_images(comfy, original) -> None:
    other = drawn(1)
    Image.fromarray(other).save(comfy.base / "input" / "other.png")
    graph = edit_graph()
    graph[MORE] = {"class_type": "LoadImage", "inputs": {"image": "other.png"}}
    graph["8"] = {
        "class_type": "ImageBatch",
        "inputs": {"image1": [LOAD_IMAGE, 0], "image2": [MORE, 0]},
    }
    graph[ENCODE]["inputs"]["image"] = ["8", 0]
    pixels = saved(comfy, graph)
    assert len(pixels) == 2
    for result, source in zip(pixels, (original, other), strict=True):
        assert_only_within((result != source).any(-1), SQUARE)
    (alone,) = saved(comfy, edit_graph())
    assert np.abs(pixels[0].astype(int) - alone).max() <= 2  # batched sums differ in the last bits


@pytest.mark.parametrize("value", ["guessed", "Tracked", ""])
def test_an_unknown_method_is_refused_by_comfyui(comfy, original, value) -> None:
    status, answer = comfy.post("/prompt", {"prompt": edit_graph(method=value)})
    assert status == 400
    (error,) = answer["node_errors"][DECODE]["errors"]
    assert error["type"] == "value_not_in_list"
    assert error["details"] == f"method: '{value}' not in ['auto', 'tracked', 'decoded']"


@pytest.mark.parametrize("value", [-0.5, 5.0])
def test_a_strength_out_of_range_is_refused_by_comfyui(comfy, original, value) -> None:
    status, answer = comfy.post("/prompt", {"prompt": edit_graph(strength=value)})
    assert status == 400
    (error,) = answer["node_errors"][DECODE]["errors"]
    assert error["type"] in ("value_smaller_than_min", "value_bigger_than_max")
    assert "strength" in error["extra_info"]["input_name"]
