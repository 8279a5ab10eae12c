"""Every wrong input, over HTTP: an error of a named type, in words of fact and remedy."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from comfyui_cldis.nodes.sample_image import SAMPLES

BUNDLED = "cldis_demo (bundled)"
MODEL, ENCODE, EDIT, DECODE, SAVE = "model", "encode", "edit", "decode", "save"


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def graph() -> dict[str, Any]:
    """A sample head, encoded, edited, decoded and saved with the tiny model."""
    model = [MODEL, 0]
    return {
        "sample": node("CLDIS_SampleImage", sample=SAMPLES[1], batch_size=1),
        MODEL: node("CLDIS_LoadModel", model_name="tiny.safetensors", dtype="auto"),
        ENCODE: node(
            "CLDIS_Encode", model=model, image=["sample", 0], inversion_steps=2, resize="crop"
        ),
        EDIT: node(
            "CLDIS_EditSliders", model=model, latent=[ENCODE, 0], edits=json.dumps({"yaw": 1})
        ),
        DECODE: node(
            "CLDIS_Decode",
            model=model,
            latent=[EDIT, 0],
            sampler="ddim",
            steps=2,
            noise="inverted",
            seed=0,
            size="model",
        ),
        SAVE: node("SaveImage", images=[DECODE, 0], filename_prefix="wrong"),
    }


def changed(**inputs: Any) -> dict[str, Any]:
    """The graph with `node__input=value` set."""
    prompt = graph()
    for name, value in inputs.items():
        key, _, field = name.partition("__")
        if value is None:
            del prompt[key]["inputs"][field]
        else:
            prompt[key]["inputs"][field] = value
    return prompt


REFUSED = [
    (changed(decode__steps=0), "value_smaller_than_min"),
    (changed(decode__steps=1001), "value_bigger_than_max"),
    (changed(decode__strength=1.5), "value_bigger_than_max"),
    (changed(decode__seed=-1), "value_smaller_than_min"),
    (changed(decode__sampler="euler"), "value_not_in_list"),
    (changed(decode__method="magic"), "value_not_in_list"),
    (changed(decode__steps="many"), "invalid_input_type"),
    (changed(model__dtype="fp8"), "value_not_in_list"),
    (changed(model__model_name="gone.safetensors"), "custom_validation_failed"),
    (changed(edit__edits="[1, 2]"), "custom_validation_failed"),
    (changed(edit__edits='{"yaw": true}'), "custom_validation_failed"),
    (changed(edit__edits='{"yaw": Infinity}'), "custom_validation_failed"),
    (changed(encode__image=None), "required_input_missing"),
    (changed(encode__image=[MODEL, 0]), "return_type_mismatch"),
    (changed(decode__latent=["sample", 0]), "return_type_mismatch"),
    (changed(encode__crop_x=-1), "value_smaller_than_min"),
]


@pytest.mark.parametrize(("prompt", "kind"), REFUSED)
def test_a_wrong_input_is_refused_by_kind(comfy, prompt, kind) -> None:
    status, answer = comfy.post("/prompt", {"prompt": prompt})
    assert status == 400
    errors = [error for node in answer["node_errors"].values() for error in node["errors"]]
    assert kind in {error["type"] for error in errors}
    if kind == "custom_validation_failed":  # our own words: a fact and a remedy
        assert any(re.search(r"\. [A-Z].*\.$", error["details"]) for error in errors), errors


def other_model() -> dict[str, Any]:
    prompt = changed(decode__model=["other", 0])
    prompt["other"] = node("CLDIS_LoadModel", model_name=BUNDLED, dtype="auto")
    return prompt


def masked(count: int) -> dict[str, Any]:
    prompt = changed(decode__size="original", decode__mask=["masks", 0])
    prompt["mask"] = node("SolidMask", value=1.0, width=64, height=64)
    prompt["image"] = node("MaskToImage", mask=["mask", 0])
    prompt["batch"] = node("RepeatImageBatch", image=["image", 0], amount=count)
    prompt["masks"] = node("ImageToMask", image=["batch", 0], channel="red")
    return prompt


def saved(kind: str, **inputs: Any) -> dict[str, Any]:
    """The graph with the images of another node saved."""
    prompt = changed(save__images=["last", 0])
    prompt["last"] = node(kind, **inputs)
    return prompt


def traversed(**inputs: Any) -> dict[str, Any]:
    given = {"direction": "yaw", "from_amount": -1, "to_amount": 1, "frames": 2, "mode": "grid"}
    given |= {"sampler": "ddim", "steps": 2, "noise": "inverted", "seed": 0, "size": "model"}
    return saved("CLDIS_Traverse", model=[MODEL, 0], latent=[ENCODE, 0], **(given | inputs))


def transferred(**inputs: Any) -> dict[str, Any]:
    prompt = changed(decode__latent=["moved", 0])
    given = {"model": [MODEL, 0], "latent": [ENCODE, 0], "reference": [ENCODE, 0]}
    given |= {"factors": "yaw", "strength": 1.0}
    prompt["moved"] = node("CLDIS_TransferFactors", **(given | inputs))
    return prompt


def animated(keyframes: str) -> dict[str, Any]:
    given = {"frames": 0, "easing": "linear", "loop": False, "sampler": "ddim", "steps": 2}
    link = {"model": [MODEL, 0], "latent": [ENCODE, 0]}
    return saved("CLDIS_Animate", keyframes=keyframes, **link, **given)


def sampled(**inputs: Any) -> dict[str, Any]:
    given = {"batch_size": 1, "seed": 0, "truncation": 0.7, "sampler": "ddim", "steps": 2}
    prompt = saved("CLDIS_Decode", **(graph()[DECODE]["inputs"] | {"latent": ["new", 0]}))
    prompt["new"] = node("CLDIS_Sample", model=[MODEL, 0], **(given | inputs))
    return prompt


def compared(**inputs: Any) -> dict[str, Any]:
    given = {"before": ["sample", 0], "after": ["sample", 0], "layout": "split", "split": 0.5}
    return saved("CLDIS_Compare", **(given | inputs))


def trained(**inputs: Any) -> dict[str, Any]:
    prompt = graph()
    given = {"name": "wrong", "folder": "", "preset": "cpu64", "steps": 2, "training_seed": 0}
    prompt[MODEL] = node("CLDIS_Train", **(given | inputs))
    return prompt


NAN = float("nan")

STOPPED = [
    (other_model(), "ValueError", "Encode the image with the same model."),
    (changed(encode__crop_x=5000), "ValueError", "5000"),
    (changed(decode__strength=NAN), "ValueError", "strength is nan."),
    (masked(3), "ValueError", "There are 3 masks and 1 images."),
    (traversed(direction=""), "ValueError", "It has: "),
    (traversed(from_amount=NAN), "ValueError", "yaw"),
    (transferred(factors="smlie"), "ValueError", "smlie"),
    (transferred(strength=NAN), "ValueError", "nan"),
    (sampled(truncation=NAN), "ValueError", "nan"),
    (compared(split=NAN), "ValueError", "nan"),
    (animated('[{"frame": 0, "edits": {"smlie": 1}}]'), "ValueError", "smlie"),
    (trained(folder="no such folder"), "FileNotFoundError", "no such folder"),
]


@pytest.mark.parametrize(("prompt", "kind", "part"), STOPPED)
def test_what_only_a_run_can_see_stops_it_with_its_remedy(comfy, prompt, kind, part) -> None:
    run = comfy.run(prompt)
    assert run.status == "error"
    assert part in run.error
    assert re.search(r"[.;:] [A-Z]?.*\.$", run.error), run.error
    assert "\n" not in run.error
    assert run.messages["execution_error"]["exception_type"].split(".")[-1] == kind
