"""The node that carries factors from one image to another."""

from __future__ import annotations

import pytest
import torch

from comfyui_cldis.nodes.sockets import LoadedModel


def test_named_factors_become_those_of_the_reference(loaded, run, latent) -> None:
    given = {"model": loaded, "latent": latent[:2], "reference": latent[2:]}
    moved = run("CLDIS_TransferFactors", factors=" yaw ,", **given)
    assert torch.allclose(moved.z[:, :1], latent.z[2:, :1].expand(2, 1), atol=1e-5)
    assert torch.equal(moved.z[:, 1:], latent.z[:2, 1:])
    assert torch.equal(moved.x_T, latent.x_T[:2])
    both = run("CLDIS_TransferFactors", factors="yaw, hair length", **given)
    assert torch.equal(run("CLDIS_TransferFactors", **given).z, both.z)


def test_strength_zero_is_the_image_itself(loaded, run, images, latent) -> None:
    moved = run(
        "CLDIS_TransferFactors", model=loaded, latent=latent, reference=latent[:1], strength=0.0
    )
    assert torch.equal(moved.z, latent.z)
    assert torch.equal(run("CLDIS_Decode", model=loaded, latent=moved, steps=1), images)


def test_the_change_is_an_edit_of_the_own_image(loaded, run, images, latent) -> None:
    moved = run(
        "CLDIS_TransferFactors", model=loaded, latent=latent[:1], reference=latent[2:], strength=2.0
    )
    image = run("CLDIS_Decode", model=loaded, latent=moved, steps=1, method="tracked")
    square = slice(8, 32)  # of 40 columns
    assert not torch.equal(image[:, :, square], images[:1, :, square])
    assert torch.equal(image[:, :, :8], images[:1, :, :8])


def test_what_is_refused(loaded, run, latent, make_model) -> None:
    given = {"model": loaded, "latent": latent, "reference": latent}
    sentence = "Direction 'smlie' is not in 'tiny.safetensors'. It has: hair length, yaw."
    with pytest.raises(ValueError, match=sentence):
        run("CLDIS_TransferFactors", factors="yaw,smlie", **given)
    with pytest.raises(ValueError, match="reference has 2 images and the latent 3"):
        run("CLDIS_TransferFactors", **given | {"reference": latent[:2]})
    other = LoadedModel("wide.safetensors", make_model(latent_dim=6))
    with pytest.raises(ValueError, match="Encode the image with the same model"):
        run("CLDIS_TransferFactors", **given | {"model": other})
