"""What the nodes promise: zero is no edit, a batch equals singles, inputs stay as they were."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch.overrides import TorchFunctionMode

from comfyui_cldis.editing.changes import METHODS
from comfyui_cldis.editing.framing import resize
from comfyui_cldis.nodes import host
from comfyui_cldis.nodes.images import grid
from comfyui_cldis.nodes.sockets import LoadedModel
from comfyui_cldis.nodes.traverse import spaced

SAMPLERS = ["ddim_2m", "ddim", "dpmpp_2m", "unipc"]


def tensors(latent):
    return [value for value in (latent.z, latent.x_T, latent.residual) if value is not None]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("noise", ["inverted", "seed"])
def test_a_zero_edit_is_bit_identical(loaded, run, latent, sampler, noise) -> None:
    settings = {"sampler": sampler, "steps": 3, "noise": noise, "seed": 7}
    plain = run("CLDIS_Decode", model=loaded, latent=latent, **settings)
    for edited in (
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits="{}"),
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits=""),
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 0}'),
        run("CLDIS_EditDirection", model=loaded, latent=latent, direction="yaw", amount=0.0),
    ):
        assert torch.equal(run("CLDIS_Decode", model=loaded, latent=edited, **settings), plain)


def test_an_edit_changes_the_image(loaded, run, latent) -> None:
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 2}')
    plain = run("CLDIS_Decode", model=loaded, latent=latent, steps=3)
    assert not torch.equal(run("CLDIS_Decode", model=loaded, latent=edited, steps=3), plain)


def test_sliders_equal_a_chain_of_directions(loaded, run, latent) -> None:
    edits = json.dumps({"yaw": 1.25, "hair length": -0.5})
    together = run("CLDIS_EditSliders", model=loaded, latent=latent, edits=edits)
    first = run("CLDIS_EditDirection", model=loaded, latent=latent, direction="yaw", amount=1.25)
    chained = run(
        "CLDIS_EditDirection", model=loaded, latent=first, direction=" hair length ", amount=-0.5
    )
    assert torch.allclose(together.z, chained.z, atol=1e-6)


def test_a_graph_saved_without_an_inversion_means_ddim(loaded, run, images) -> None:
    given = {"model": loaded, "image": images, "inversion_steps": 3}
    noise = {name: run("CLDIS_Encode", **given, inversion=name).x_T for name in ("ddim", "ddim_2m")}
    assert torch.equal(run("CLDIS_Encode", **given).x_T, noise["ddim"])
    assert not torch.equal(noise["ddim_2m"], noise["ddim"])


def test_a_batch_equals_singles(loaded, run, images, latent) -> None:
    whole = run("CLDIS_Decode", model=loaded, latent=latent, steps=3, noise="seed", seed=2**64 - 2)
    for index in range(len(images)):
        single = run(
            "CLDIS_Encode",
            model=loaded,
            image=images[index : index + 1],
            inversion_steps=3,
        )
        assert torch.allclose(single.x_T, latent.x_T[index : index + 1], atol=1e-4)
        image = run(
            "CLDIS_Decode",
            model=loaded,
            latent=single,
            steps=3,
            noise="seed",
            seed=(2**64 - 2 + index) % 2**64,
        )
        assert torch.allclose(image, whole[index : index + 1], atol=1e-4)


def test_the_same_seed_draws_the_same_and_leaves_torch_alone(loaded, run, latent) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    images = [
        run("CLDIS_Decode", model=loaded, latent=latent, steps=2, noise="seed", seed=seed)
        for seed in (5, 5, 6)
    ]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_inputs_are_not_changed(loaded, run, images) -> None:
    image = images.clone()
    latent = run("CLDIS_Encode", model=loaded, image=image, inversion_steps=2)
    assert torch.equal(image, images)
    before = [tensor.clone() for tensor in tensors(latent)]
    weights = {key: value.clone() for key, value in loaded.editable.networks.state_dict().items()}
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 1}')
    run("CLDIS_Decode", model=loaded, latent=edited, steps=2)
    run("CLDIS_Traverse", model=loaded, latent=latent, direction="yaw", steps=2, frames=2)
    for tensor, copy in zip(tensors(latent), before, strict=True):
        assert torch.equal(tensor, copy)
    for key, value in loaded.editable.networks.state_dict().items():
        assert torch.equal(value, weights[key])


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        ("crop", "original", (24, 40)),
        ("pad", "original", (24, 40)),
        ("stretch", "original", (24, 40)),
        ("pad", "model", (32, 32)),
    ],
)
def test_size_rules(loaded, run, images, resize, size, expected) -> None:
    latent = run("CLDIS_Encode", model=loaded, image=images[:1], inversion_steps=1, resize=resize)
    image = run("CLDIS_Decode", model=loaded, latent=latent, steps=1, size=size)
    assert image.shape == (1, *expected, 3)
    assert image.dtype == torch.float32
    assert float(image.min()) >= 0 and float(image.max()) <= 1


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 1, 9, 1), (1, 300, 200, 4), (1, 33, 32, 2)])
def test_images_of_any_shape(loaded, run, shape) -> None:
    latent = run("CLDIS_Encode", model=loaded, image=torch.rand(shape), inversion_steps=1)
    image = run("CLDIS_Decode", model=loaded, latent=latent, steps=1)
    assert image.shape == (1, *shape[1:3], 3)


def test_a_grey_model(make_model, run, images) -> None:
    model = LoadedModel("grey.safetensors", make_model(in_channels=1))
    latent = run("CLDIS_Encode", model=model, image=images, inversion_steps=1)
    assert latent.x_T.shape == (3, 1, 32, 32)
    assert run("CLDIS_Decode", model=model, latent=latent, steps=1).shape == (3, 24, 40, 3)


def test_traverse_batch_equals_single_edits(loaded, run, latent) -> None:
    walk = run(
        "CLDIS_Traverse",
        model=loaded,
        latent=latent[:2],
        direction="yaw",
        from_amount=-1.0,
        to_amount=1.0,
        frames=3,
        mode="batch",
        steps=2,
        size="model",
    )
    assert walk.shape == (6, 32, 32, 3)
    for index, amount in enumerate((-1.0, 0.0, 1.0)):
        edited = run(
            "CLDIS_EditDirection", model=loaded, latent=latent[1:2], direction="yaw", amount=amount
        )
        image = run("CLDIS_Decode", model=loaded, latent=edited, steps=2, size="model")
        assert torch.allclose(walk[3 + index : 4 + index], image, atol=1e-4)


def test_traverse_with_a_seed_shares_the_noise(loaded, run, latent) -> None:
    """All frames of an image share their noise, or the noise would hide the direction."""
    bare = dataclasses.replace(latent, x_T=None)
    settings = {"direction": "yaw", "mode": "batch", "steps": 2, "noise": "seed", "seed": 4}
    settings["size"] = "model"
    walk = run(
        "CLDIS_Traverse",
        model=loaded,
        latent=bare,
        from_amount=1.0,
        to_amount=1.0,
        frames=2,
        **settings,
    )
    assert torch.allclose(walk[0], walk[1], atol=1e-5)
    edited = run("CLDIS_EditDirection", model=loaded, latent=bare, direction="yaw", amount=1.0)
    image = run(
        "CLDIS_Decode", model=loaded, latent=edited, steps=2, noise="seed", seed=4, size="model"
    )
    assert torch.allclose(walk[::2], image, atol=1e-4)


@pytest.mark.parametrize("chunk", [2, 64])
def test_traverse_with_a_seed_keeps_the_whole_image(
    loaded, run, latent, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyui_cldis.nodes.host.CHUNK_ON_CPU", chunk)
    settings = {"steps": 1, "noise": "seed", "seed": 4}
    walk = run(
        "CLDIS_Traverse", model=loaded, latent=latent, direction="yaw", mode="batch",
        from_amount=1.0, to_amount=1.0, frames=2, **settings,
    )  # fmt: skip
    edited = run("CLDIS_EditDirection", model=loaded, latent=latent, direction="yaw", amount=1.0)
    image = run("CLDIS_Decode", model=loaded, latent=edited, **settings)
    assert image.shape == (3, 24, 40, 3)
    assert torch.allclose(walk[::2], image, atol=1e-4)
    assert torch.allclose(walk[::2], walk[1::2], atol=1e-4)


def test_traverse_grid(loaded, run, latent) -> None:
    sheet = run("CLDIS_Traverse", model=loaded, latent=latent, direction="yaw", frames=4, steps=1)
    assert sheet.shape == (1, 3 * 24 + 2 * 2, 4 * 40 + 3 * 2, 3)


def test_large_images_are_made_smaller_for_a_grid_only(loaded, run) -> None:
    latent = run("CLDIS_Encode", model=loaded, image=torch.rand(1, 600, 1200, 3), inversion_steps=0)
    settings = {"direction": "yaw", "frames": 2, "steps": 1, "method": "tracked"}
    sheet = run("CLDIS_Traverse", model=loaded, latent=latent, **settings)
    assert sheet.shape == (1, 256, 512 * 2 + 2, 3)
    frames = run("CLDIS_Traverse", model=loaded, latent=latent, mode="batch", **settings)
    assert frames.shape == (2, 600, 1200, 3)


class Largest(TorchFunctionMode):
    """Notes the size of the largest tensor that comes out of any operation."""

    numel = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.numel = max(self.numel, found.numel())
        return found


def test_frames_are_made_smaller_for_a_grid_before_the_next_are_drawn(
    loaded, run, monkeypatch
) -> None:
    monkeypatch.setattr(host, "PIXELS_AT_ONCE", 1)  # one frame after the other
    latent = run("CLDIS_Encode", model=loaded, image=torch.rand(1, 600, 1200, 3), inversion_steps=0)
    settings = {"direction": "yaw", "frames": 5, "steps": 1, "method": "tracked"}
    with Largest() as seen:
        sheet = run("CLDIS_Traverse", model=loaded, latent=latent, **settings)
    assert seen.numel < 2 * 600 * 1200 * 3
    frames = run("CLDIS_Traverse", model=loaded, latent=latent, mode="batch", **settings)
    smaller = resize(frames.movedim(-1, 1), 256, 512).movedim(1, -1)
    assert torch.equal(sheet, grid(smaller, 5))


def test_no_edit_is_the_original_bit_for_bit(loaded, run, images) -> None:
    latent = run("CLDIS_Encode", model=loaded, image=images, inversion_steps=0)
    zero = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 0}')
    for method in METHODS:
        image = run("CLDIS_Decode", model=loaded, latent=zero, steps=1, method=method)
        assert torch.equal(image, images)
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 1}')
    assert torch.equal(
        run("CLDIS_Decode", model=loaded, latent=edited, steps=1, strength=0.0), images
    )


def test_a_crop_and_a_mask_leave_the_rest_alone(loaded, run) -> None:
    image = torch.rand(2, 60, 90, 3)
    crop = {"crop_x": 30, "crop_y": 10, "crop_width": 40, "crop_height": 40}
    latent = run("CLDIS_Encode", model=loaded, image=image, inversion_steps=0, **crop)
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 1.5}')
    drawn = run("CLDIS_Decode", model=loaded, latent=edited, steps=1)
    is_changed = (drawn != image).any(-1)
    assert is_changed[:, 10:50, 30:70].float().mean() > 0.5
    is_changed[:, 10:50, 30:70] = False
    assert not is_changed.any()
    mask = torch.zeros(1, 120, 180)  # of twice the size, as a mask may be
    mask[:, :, 100:] = 1
    masked = run("CLDIS_Decode", model=loaded, latent=edited, steps=1, mask=mask)
    assert torch.equal(masked[:, :, :49], image[:, :, :49])
    assert torch.allclose(masked[:, :, 52:], drawn[:, :, 52:], atol=1e-6)


@pytest.mark.parametrize(
    ("crop", "sentence"),
    [
        ({"crop_x": 90}, "does not lie within the image of 90 x 60"),
        ({"crop_x": 120}, "The crop of 1 x 60 pixels at 120, 0"),
        ({"crop_x": 80, "crop_width": 20}, "The crop of 20 x 60 pixels at 80, 0"),
    ],
)
def test_a_crop_outside_of_the_image_is_refused(loaded, run, crop, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        run("CLDIS_Encode", model=loaded, image=torch.rand(1, 60, 90, 3), **crop)


def test_a_mask_that_is_black_everywhere_is_told(loaded, run, images, caplog) -> None:
    square = images[:1, :, :24]
    latent = run("CLDIS_Encode", model=loaded, image=square, inversion_steps=0)
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 2}')
    given = {"model": loaded, "latent": edited, "steps": 1, "method": "tracked"}
    mask = torch.zeros(1, 64, 64)  # what Load Image gives for a picture without transparency
    assert torch.equal(run("CLDIS_Decode", mask=mask, **given), square)
    assert "The mask is black everywhere, so the edit acts nowhere. Paint" in caplog.text
    caplog.clear()
    mask[:, :32] = 1
    assert not torch.equal(run("CLDIS_Decode", mask=mask, **given), square)
    assert "black" not in caplog.text


def test_the_mask_of_a_photo_without_transparency_is_black_whatever_its_shape(
    loaded, run, caplog
) -> None:
    photo = torch.rand(1, 40, 60, 3)
    latent = run("CLDIS_Encode", model=loaded, image=photo, inversion_steps=0)
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 2}')
    mask = torch.zeros(1, 64, 64)  # of Load Image
    assert torch.equal(run("CLDIS_Decode", model=loaded, latent=edited, steps=1, mask=mask), photo)
    assert "The mask is black everywhere, so the edit acts nowhere. Paint" in caplog.text


def test_masks_that_do_not_fit_are_refused(loaded, run, latent) -> None:
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 1}')
    for mask, sentence in (
        (torch.ones(1, 24, 24), "The mask has 24 x 24 pixels and the image 40 x 24"),
        (torch.ones(2, 24, 40), "There are 2 masks and 3 images"),
        (torch.full((1, 24, 40), float("nan")), "or holds NaN"),
    ):
        with pytest.raises(ValueError, match=sentence):
            run("CLDIS_Decode", model=loaded, latent=edited, steps=1, mask=mask)


def test_spaced_amounts() -> None:
    assert spaced(-2, 2, 5) == [-2, -1, 0, 1, 2]
    assert spaced(1, 3, 1) == [1]


def test_model_info_lists_all(loaded, run) -> None:
    text = run("CLDIS_ModelInfo", model=loaded)
    for part in ("tiny.safetensors", "32 x 32", "yaw: -1.50 to +1.50", "left / right", "CC0"):
        assert part in text
    assert "psnr_db: 12.5" in text


def test_each_image_of_a_batch_can_have_its_own_edits(loaded, latent, run) -> None:
    edits = '[{"yaw": 1}, {}, {"yaw": -2}]'
    together = run("CLDIS_EditSliders", model=loaded, latent=latent, edits=edits)
    for index, each in enumerate(['{"yaw": 1}', "{}", '{"yaw": -2}']):
        one = latent[index : index + 1]
        alone = run("CLDIS_EditSliders", model=loaded, latent=one, edits=each)
        assert torch.equal(together.z[index : index + 1], alone.z)
    with pytest.raises(ValueError, match="edits for 2 images and 3 in the latent"):
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits="[{}, {}]")


def test_encode_names_the_images_that_the_model_does_not_know(run, loaded, images, caplog):
    facts = loaded.editable.facts
    run("CLDIS_Encode", model=loaded, image=images, inversion_steps=0, resize="crop")
    assert "unlike" not in caplog.text  # the file does not say what its co-pilot explains
    quality = dataclasses.replace(facts.quality, explained_variance_preview=1.0)
    facts = dataclasses.replace(facts, quality=quality)
    known = dataclasses.replace(loaded, editable=dataclasses.replace(loaded.editable, facts=facts))
    run("CLDIS_Encode", model=known, image=images, inversion_steps=0, resize="crop")
    assert caplog.text.count("unlike those that") == 1


def test_an_amount_beyond_the_range_is_applied_and_logged(run, loaded, latent, caplog):
    direction = loaded.editable.direction("yaw")
    within, beyond = direction.maximum, 2 * direction.maximum
    with caplog.at_level("INFO"):
        run("CLDIS_EditSliders", model=loaded, latent=latent, edits=json.dumps({"yaw": within}))
        assert "outside the range" not in caplog.text
        edited = run(
            "CLDIS_EditSliders", model=loaded, latent=latent, edits=json.dumps({"yaw": beyond})
        )
    assert f"{beyond:g} is outside the range of 'yaw'" in caplog.text
    assert not torch.equal(edited.z, latent.z)
