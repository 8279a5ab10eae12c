"""The node that makes the frames from one image to another."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from comfyui_cldis.editing.easing import eased


def test_frames_go_from_image_to_image(loaded, run, images, latent) -> None:
    frames = run("CLDIS_Interpolate", latent_a=latent[:1], latent_b=latent[1:], frames=4)
    assert len(frames) == 8
    image = run("CLDIS_Decode", model=loaded, latent=frames, steps=1, method="tracked")
    assert torch.equal(image[[0, 4]], images[[0, 0]])
    assert torch.equal(image[[3, 7]], images[1:])
    assert bool((image[1:3] != images[0]).any()) and bool((image[1:3] != images[1]).any())


def test_easing_moves_the_frames_between(run, latent) -> None:
    given = {"latent_a": latent[:1], "latent_b": latent[1:2], "frames": 5}
    linear, smooth = (run("CLDIS_Interpolate", easing=e, **given).z for e in ("linear", "smooth"))
    for index in range(5):
        share = eased(index / 4, "smooth")
        assert torch.allclose(smooth[index], torch.lerp(latent.z[0], latent.z[1], share), atol=1e-6)
    assert torch.equal(linear[[0, 4]], smooth[[0, 4]]) and not torch.equal(linear[1], smooth[1])


def test_what_is_refused(run, latent) -> None:
    bare = dataclasses.replace(latent, x_T=None)
    other = dataclasses.replace(latent, z=latent.z[:, :2])
    for second, sentence in (
        (latent[:2], "The latents have 3 and 2 images"),
        (bare, "Only one of the latents has inverted noise. Set inversion_steps"),
        (other, "latent_a has 4 scalars per image and latent_b 2. Encode both"),
    ):
        with pytest.raises(ValueError, match=sentence):
            run("CLDIS_Interpolate", latent_a=latent, latent_b=second)
