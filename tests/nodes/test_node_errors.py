"""Each wrong input gives one sentence of fact and one of remedy, by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.editing.direction import LIMIT
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS
from comfyui_cldis.nodes.checks import parse_edits
from comfyui_cldis.nodes.live import LivePreviews
from comfyui_cldis.nodes.sockets import LoadedModel

UNKNOWN = "Direction 'smlie' is not in 'tiny.safetensors'. It has: hair length, yaw."
EDITS = [
    ('{"smlie": 1}', UNKNOWN),
    ('{"yaw": NaN}', "The amount of direction 'yaw' is nan; expected a finite number"),
    ('{"yaw": -Infinity}', "The amount of direction 'yaw' is -inf; expected a finite number"),
    ('{"yaw": 1e999}', "The amount of direction 'yaw' is inf; expected a finite number"),
    ('{"yaw": 1%s}' % ("0" * 400), "The amount of direction 'yaw' is inf; expected a finite"),
    ('{"yaw": "1"}', "The amount of direction 'yaw' is \"1\"; expected a number"),
    ('{"yaw": true}', "The amount of direction 'yaw' is true; expected a number"),
    ('{"yaw": null}', "The amount of direction 'yaw' is null; expected a number"),
    ('{"yaw": [1]}', "The amount of direction 'yaw' is a list; expected a number"),
    ('{"yaw": 1, "yaw": 2}', "Direction 'yaw' stands twice in edits."),
    ("{yaw: 1}", "edits is not valid JSON: "),
    ("{'yaw': 1}", "edits is not valid JSON: "),
    ("[1]", "edits is a list; expected a JSON object, or"),
    ("3", "edits is 3; expected a JSON object, or"),
]


@pytest.mark.parametrize(("edits", "sentence"), EDITS)
def test_wrong_edits(loaded, run, latent, edits, sentence) -> None:
    with pytest.raises(ValueError) as caught:
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits=edits)
    message = str(caught.value)
    assert sentence in message
    assert message.endswith(".") and "\n" not in message


@pytest.mark.parametrize(("edits", "sentence"), EDITS[1:])
def test_wrong_edits_are_refused_before_anything_runs(edits, sentence) -> None:
    assert sentence in NODE_CLASS_MAPPINGS["CLDIS_EditSliders"].VALIDATE_INPUTS(edits)


def test_good_or_linked_edits_pass_validation() -> None:
    validate = NODE_CLASS_MAPPINGS["CLDIS_EditSliders"].VALIDATE_INPUTS
    assert validate('{"yaw": 1}') is True
    assert validate(None) is True
    assert parse_edits(' {"a": 1, "b": -0.5} ') == {"a": 1.0, "b": -0.5}


def test_amounts_of_linked_nodes_are_numbers_of_any_kind(loaded, run, latent) -> None:
    kinds = (0.5, np.float32(0.5), np.array(0.5), torch.tensor([0.5]))
    found = [
        run("CLDIS_EditDirection", model=loaded, latent=latent, direction="yaw", amount=amount).z
        for amount in kinds
    ]
    assert all(torch.equal(each, found[0]) for each in found)
    with pytest.raises(ValueError, match="amount of direction 'yaw' is .*; expected a number"):
        run(
            "CLDIS_EditDirection",
            model=loaded,
            latent=latent,
            direction="yaw",
            amount=np.zeros(2),
        )


def test_large_amounts_are_limited_and_logged(loaded, run, latent, caplog) -> None:
    limit = LIMIT * loaded.editable.direction("yaw").maximum
    expected = run("CLDIS_EditSliders", model=loaded, latent=latent, edits=f'{{"yaw": {limit}}}')
    assert not caplog.records
    found = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 1e30}')
    assert torch.equal(found.z, expected.z)
    assert [f"at most {LIMIT} times the range" in each for each in caplog.messages] == [True]
    caplog.clear()
    image = run(
        "CLDIS_Traverse",
        model=loaded,
        latent=latent,
        direction="yaw",
        from_amount=-1e30,
        to_amount=1e9,
        frames=3,
        mode="batch",
        steps=2,
    )
    assert bool(torch.isfinite(image).all()) and len(caplog.messages) == 2


@pytest.mark.parametrize("direction", ["smlie", ""])
def test_unknown_direction(loaded, run, latent, direction) -> None:
    for node_id in ("CLDIS_EditDirection", "CLDIS_Traverse"):
        with pytest.raises(ValueError, match=f"Direction '{direction}' is not in 'tiny"):
            run(node_id, model=loaded, latent=latent, direction=direction)


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_amounts_that_are_not_finite(loaded, run, latent, amount) -> None:
    with pytest.raises(ValueError, match="The amount of direction 'yaw' is (nan|inf)"):
        run("CLDIS_EditDirection", model=loaded, latent=latent, direction="yaw", amount=amount)
    with pytest.raises(ValueError, match="The amount of direction 'yaw' is (nan|inf)"):
        run("CLDIS_Traverse", model=loaded, latent=latent, direction="yaw", to_amount=amount)


def test_a_model_without_directions(make_model, run, latent) -> None:
    bare = LoadedModel("bare.safetensors", dataclasses.replace(make_model(), directions=()))
    said = "is not in 'bare.safetensors', which has none, as the images .* visibly. Train longer."
    with pytest.raises(ValueError, match=said):
        run("CLDIS_EditSliders", model=bare, latent=latent, edits='{"yaw": 1}')
    info = run("CLDIS_ModelInfo", model=bare)
    assert "- none\nThe images do not follow" in info and "so there are no sliders. Train" in info


def test_a_mistyped_direction_names_the_nearest(loaded, run, latent) -> None:
    with pytest.raises(ValueError, match="'tiny.safetensors', which has: .* Did you mean 'yaw'?"):
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"Yaw": 1}')


def test_inverted_noise_that_is_not_there(loaded, run, images) -> None:
    latent = run("CLDIS_Encode", model=loaded, image=images, inversion_steps=0)
    assert latent.x_T is None
    run("CLDIS_Decode", model=loaded, latent=latent, steps=1)  # finds it from the images
    latent = dataclasses.replace(latent, sources=())
    with pytest.raises(ValueError, match="neither inverted noise nor its images.*Set noise to"):
        run("CLDIS_Decode", model=loaded, latent=latent, steps=1)
    with pytest.raises(ValueError, match="neither inverted noise"):
        run("CLDIS_Traverse", model=loaded, latent=latent, direction="yaw")
    run("CLDIS_Decode", model=loaded, latent=latent, steps=1, noise="seed")


def test_a_latent_of_another_model(make_model, run, latent) -> None:
    wide = LoadedModel("wide.safetensors", make_model(latent_dim=6))
    sentence = "The latent has 4 scalars per image and wide.safetensors works with 6. Encode"
    with pytest.raises(ValueError, match=sentence):
        run("CLDIS_Decode", model=wide, latent=latent, steps=1)
    with pytest.raises(ValueError, match=sentence):
        run("CLDIS_EditSliders", model=wide, latent=latent, edits="{}")
    large = LoadedModel("large.safetensors", make_model(image_size=64))
    with pytest.raises(ValueError, match="large.safetensors works with \\(3, 64, 64\\)"):
        run("CLDIS_Decode", model=large, latent=latent, steps=1)


def test_a_latent_of_a_model_of_the_same_shape(loaded, make_model, run, images, latent) -> None:
    other = LoadedModel("other.safetensors", make_model(seed=1))
    sentence = "comes from another model than other.safetensors. Encode the image with the same"
    for node, more in (("CLDIS_Decode", {"steps": 1}), ("CLDIS_EditSliders", {"edits": "{}"})):
        with pytest.raises(ValueError, match=sentence):
            run(node, model=other, latent=latent, **more)
    second = run("CLDIS_Encode", model=other, image=images, inversion_steps=3)
    with pytest.raises(ValueError, match="from different models. Encode both with the same model"):
        run("CLDIS_Interpolate", latent_a=latent, latent_b=second)
    drawn = run("CLDIS_Sample", model=other, batch_size=1, steps=1)
    with pytest.raises(ValueError, match="another model than tiny.safetensors"):
        run("CLDIS_Decode", model=loaded, latent=drawn, steps=1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_latent_of_the_same_model_in_another_dtype(tiny_checkpoint, run, images, dtype) -> None:
    latent = run(
        "CLDIS_Encode",
        model=LoadedModel("tiny", load_checkpoint(tiny_checkpoint)),
        image=images,
        inversion_steps=0,
    )
    other = LoadedModel("tiny", load_checkpoint(tiny_checkpoint, dtype=dtype))
    run("CLDIS_EditSliders", model=other, latent=latent, edits="{}")


def test_a_broken_image(loaded, run) -> None:
    with pytest.raises(ValueError, match="holds NaN or infinite values"):
        run("CLDIS_Encode", model=loaded, image=torch.full((1, 8, 8, 3), float("nan")))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_networks_that_overflow_are_named_with_what_to_choose(
    make_model, run, images, latent, dtype
) -> None:
    remedy = {
        torch.float16: "^Numbers overflowed in float16: .* Choose dtype auto or fp32 in CLDis Load",
        torch.float32: "^In float32 the .* [Uu]se another model.$",
    }[dtype]
    model = make_model()
    moved = run(
        "CLDIS_EditSliders",
        model=LoadedModel("tiny.safetensors", model),
        latent=latent,
        edits='{"yaw": 1}',
    )
    model.networks.to(dtype)
    for layer in ("unet.out", "encoder.mu"):
        model.networks.get_parameter(f"{layer}.bias").fill_(float("inf"))
    loaded = LoadedModel("tiny.safetensors", model)
    for noise in ("inverted", "seed"):
        given = {"model": loaded, "latent": moved, "noise": noise, "method": "decoded", "steps": 1}
        with pytest.raises(ValueError, match=remedy):
            run("CLDIS_Decode", **given)
    with pytest.raises(ValueError, match=remedy):
        run("CLDIS_Encode", model=loaded, image=images, inversion_steps=0)
    with pytest.raises(ValueError, match=remedy):
        NODE_CLASS_MAPPINGS["CLDIS_Sample"]().execute(loaded, 1, 0, 0.7, "ddim", 1)
    model.networks.get_parameter("copilot.up.2.bias").fill_(float("inf"))
    with pytest.raises(ValueError, match=remedy):
        run("CLDIS_Decode", model=loaded, latent=moved, method="tracked")
    previews = LivePreviews()
    previews.offer("key", loaded, latent)  # the edit may go on
    found = previews.find("key")
    assert found["model"] == loaded.label
    with pytest.raises(ValueError, match=remedy):
        previews.draw(found["token"], {})
