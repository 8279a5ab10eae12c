"""The node that draws the frames between keyframes of edits."""

from __future__ import annotations

import json

import pytest
import torch

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS

THERE = json.dumps([{"frame": 0, "edits": {}}, {"frame": 2, "edits": {"yaw": 2}}])


def test_frames_are_single_edits_of_the_image(loaded, run, images, latent) -> None:
    found = run("CLDIS_Animate", model=loaded, latent=latent[:1], keyframes=THERE, loop=True)
    assert len(found) == 4 and torch.equal(found[0], images[0])
    for index, amount in enumerate((0.0, 1.0, 2.0, 1.0)):
        edited = run(
            "CLDIS_EditDirection", model=loaded, latent=latent[:1], direction="yaw", amount=amount
        )
        image = run("CLDIS_Decode", model=loaded, latent=edited, method="tracked")
        assert torch.allclose(found[index], image[0], atol=1e-4)


def test_keyframes_come_on_top_of_the_edits_of_the_latent(loaded, run, latent) -> None:
    edited = run(
        "CLDIS_EditDirection", model=loaded, latent=latent[:1], direction="hair length", amount=1.0
    )
    found = run("CLDIS_Animate", model=loaded, latent=edited, keyframes=THERE, frames=2)
    first = run("CLDIS_Decode", model=loaded, latent=edited, method="tracked")
    assert len(found) == 2 and torch.allclose(found[:1], first, atol=1e-4)


def test_strength_and_masks_as_in_decode(loaded, run, images, latent) -> None:
    given = {"model": loaded, "latent": latent[:1], "keyframes": THERE}
    still = run("CLDIS_Animate", strength=0.0, **given)
    assert torch.equal(still, images[:1].expand(3, -1, -1, -1))
    mask = torch.zeros(3, 24, 40)
    mask[1] = 1
    found = run("CLDIS_Animate", mask=mask, **given)
    assert torch.equal(found[2], images[0]) and not torch.equal(found[1], images[0])


@pytest.mark.parametrize(
    ("keyframes", "sentence"),
    [
        ("[1]", "The keyframe 1 is no object of frame and edits."),
        ("nothing", "keyframes is not valid JSON"),
        ('[{"frame": 0, "edits": {"yaw": NaN}}]', "The amount of direction 'yaw' is nan."),
    ],
)
def test_wrong_keyframes_are_refused_before_anything_runs(
    loaded, run, latent, keyframes, sentence
) -> None:
    assert sentence in NODE_CLASS_MAPPINGS["CLDIS_Animate"].VALIDATE_INPUTS(keyframes)
    with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
        run("CLDIS_Animate", model=loaded, latent=latent[:1], keyframes=keyframes)


def test_right_or_linked_keyframes_pass() -> None:
    node = NODE_CLASS_MAPPINGS["CLDIS_Animate"]
    assert node.VALIDATE_INPUTS(None) is True
    default = node.INPUT_TYPES()["required"]["keyframes"][1]["default"]
    assert node.VALIDATE_INPUTS(default) is True


def test_what_is_refused(loaded, run, latent) -> None:
    unknown = '[{"frame": 0, "edits": {"smlie": 1}}]'
    with pytest.raises(ValueError, match="'smlie' is not in 'tiny.safetensors'. It has: hair"):
        run("CLDIS_Animate", model=loaded, latent=latent[:1], keyframes=unknown)
    with pytest.raises(ValueError, match="has 3 images and an animation is of one"):
        run("CLDIS_Animate", model=loaded, latent=latent, keyframes=THERE)
    with pytest.raises(ValueError, match="loop has 2 frames"):
        run("CLDIS_Animate", model=loaded, latent=latent[:1], keyframes=THERE, frames=2, loop=True)


def test_large_amounts_are_limited_once(loaded, run, latent, caplog) -> None:
    far = '[{"frame": 0, "edits": {}}, {"frame": 3, "edits": {"yaw": 1e9}}]'
    found = run("CLDIS_Animate", model=loaded, latent=latent[:1], keyframes=far)
    assert bool(torch.isfinite(found).all()) and len(caplog.messages) == 1
