"""Frames between two images: their ends, what they keep, and how they are rendered."""

from dataclasses import replace

import pytest
import torch

from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.morph import morph
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.editing.pipeline import edit, encode, interpolate
from comfyui_cldis.editing.render import TrackedPreview, render
from tests.pretended_device import DEVICE, pretended

SIZE = (48, 40)


def encoded(model, pixels, steps=2):
    framed = [frame_original(each, 3, 32, "crop") for each in pixels]
    return encode(
        model,
        torch.cat([square for square, _ in framed]),
        inversion_steps=steps,
        origins=tuple(origin for _, origin in framed),
        originals=pixels,
    )


def picture(seed, size=SIZE, channels=3, dtype=torch.uint8):
    rows = torch.linspace(0, 3 + seed, size[0])[:, None].sin()
    columns = torch.linspace(seed, 5, size[1])[None].cos()
    levels = torch.stack([rows * columns * (0.2 * c + 0.3) for c in range(channels)]) / 2 + 0.5
    return (levels * 255).to(torch.uint8) if dtype == torch.uint8 else levels.to(dtype)


@pytest.fixture(scope="module")
def first(tiny_model):
    return encoded(tiny_model, [picture(0), picture(1)])


@pytest.fixture(scope="module")
def second(tiny_model):
    return encoded(tiny_model, [picture(2), picture(3)])


def test_frames_are_item_major_and_have_the_codes_of_interpolation(first, second):
    frames = morph(first, second, [0, 0.25, 1])
    assert len(frames) == 6
    for fraction, row in ((0, 0), (0.25, 1), (1, 2)):
        expected = interpolate(first, second, fraction)
        assert torch.equal(frames.z[row::3], expected.z)
        assert torch.equal(frames.x_T[row::3], expected.x_T)
        assert torch.equal(frames.residual[row::3], expected.residual)


@pytest.mark.parametrize("method", ["auto", "tracked", "decoded"])
def test_the_ends_are_the_images_bit_for_bit(tiny_model, first, second, method):
    drawn = render(tiny_model, morph(first, second, [0, 0.5, 1]), method=method, num_steps=2)
    for index in range(2):
        assert torch.equal(drawn[3 * index], first.sources[index].pixels)
        assert torch.equal(drawn[3 * index + 2], second.sources[index].pixels)
        assert drawn[3 * index + 1].dtype == torch.uint8


def test_halfway_is_half_of_each_image_at_the_middle_code(tiny_model, first, second):
    middle = morph(first, second, [0.5])
    found = render(tiny_model, middle, method="tracked")
    parts = [render(tiny_model, end.with_z(middle.z), method="tracked") for end in (first, second)]
    for row, a, b in zip(found, *parts, strict=True):
        assert torch.equal(row, torch.lerp(a.float(), b.float(), 0.5).round().to(torch.uint8))


@pytest.mark.parametrize("method", ["tracked", "decoded"])
def test_images_on_two_devices_meet_on_that_of_the_first(tiny_model, first, second, method):
    """As where the nodes leave them: the codes of the latents together, those of the sources not"""
    wanted = render(tiny_model, morph(first, second, [0.5]), method=method, num_steps=1)
    with pretended():
        moved = [
            replace(each, pixels=each.pixels.to(DEVICE), code=each.code.to(DEVICE))
            for each in second.sources
        ]
        frames = morph(first, replace(second, sources=tuple(moved)), [0.5])
        for size, like in (("original", wanted), ("model", None)):
            found = render(tiny_model, frames, method=method, size=size, num_steps=1)
            assert all(each.device.type == "cpu" for each in found)
            assert like is None or all(map(torch.equal, found, like))


def test_sliders_take_images_of_several_devices(tiny_model, first):
    wanted = TrackedPreview(tiny_model, first).draw({"yaw": 1.0})
    with pretended():
        code = first.sources[1].code.to(DEVICE)
        mixed = replace(first, sources=(first.sources[0], replace(first.sources[1], code=code)))
        found = TrackedPreview(tiny_model, mixed).draw({"yaw": 1.0})
        assert all(map(torch.equal, found, wanted))


def test_latents_on_two_devices_meet_on_that_of_the_first(tiny_model, first, second):
    given = {"num_steps": 1}
    for method in ("tracked", "decoded"):
        wanted = render(tiny_model, morph(first, second, [0.5]), method=method, **given)
        with pretended():
            far = second.map(lambda each: each.to(DEVICE))
            found = render(tiny_model, morph(first, far, [0.5]), method=method, **given)
            assert all(map(torch.equal, found, wanted))


def test_frames_can_be_edited_cut_and_joined(tiny_model, first, second):
    frames = morph(first, second, [0, 0.5, 1])
    moved = edit(tiny_model, frames, {"yaw": 1.0})
    together = render(tiny_model, moved, method="tracked")
    apart = [render(tiny_model, moved[i : i + 1], method="tracked")[0] for i in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    start = render(tiny_model, edit(tiny_model, first, {"yaw": 1.0}), method="tracked")
    assert torch.equal(together[0], start[0])
    mixed = render(tiny_model, Latent.cat([first, moved[1:2]]), method="tracked")
    assert torch.equal(mixed[1], first.sources[1].pixels) and torch.equal(mixed[2], apart[1])


def test_a_mask_holds_for_both_images(tiny_model, first, second):
    frames = morph(first, second, [0.25, 0.5])
    mask = torch.zeros(4, *SIZE)
    mask[1] = 1
    found = render(tiny_model, frames, method="tracked", mask=mask)
    plain = render(tiny_model, frames, method="tracked")
    faded = render(tiny_model, frames, strength=0)
    assert torch.equal(found[1], plain[1]) and torch.equal(found[2], faded[2])


def test_a_mask_is_resized_to_a_second_image_of_another_size(tiny_model, first):
    other = encoded(tiny_model, [picture(2, (90, 70))])
    frames = morph(first[:1], other, [0.25, 0.5])
    half = torch.ones(1, *SIZE)
    for size in ("original", "model"):
        plain = render(tiny_model, frames, method="tracked", size=size)
        for mask in (half, half.expand(2, -1, -1)):
            found = render(tiny_model, frames, method="tracked", mask=mask, size=size)
            assert all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))
        none = render(tiny_model, frames, mask=0 * half, size=size)
        still = render(tiny_model, frames, strength=0, size=size)
        assert all(torch.equal(a, b) for a, b in zip(none, still, strict=True))


def test_a_frame_s_noise_depends_on_its_own_seed(tiny_model, first, second):
    frames = morph(first, second, [0, 0.5, 1])
    together = render(tiny_model, frames, seed=5, num_steps=1, size="model")
    for b in range(len(frames)):
        alone = render(tiny_model, frames[b : b + 1], seed=5 + b, num_steps=1, size="model")
        torch.testing.assert_close(together[b], alone[0], atol=1e-5, rtol=0)


def test_the_model_square_and_fresh_noise(tiny_model, first, second):
    frames = morph(first, second, [0, 0.5, 1])
    small = render(tiny_model, frames, size="model", method="tracked")
    assert all(each.shape == (3, 32, 32) for each in small)
    fresh = render(tiny_model, frames, seed=3, num_steps=1)
    assert all(each.shape == (3, *SIZE) for each in fresh)


@pytest.mark.parametrize(("channels", "dtype"), [(4, torch.uint8), (3, torch.float32)])
def test_images_of_other_kinds_become_like_the_first(tiny_model, first, channels, dtype):
    other = encoded(tiny_model, [picture(2, (90, 70), channels, dtype)])
    for pair in ((first[:1], other), (other, first[:1])):
        like = pair[0].sources[0].pixels
        for image in render(tiny_model, morph(*pair, [0, 0.5, 1]), method="tracked"):
            assert image.shape == like.shape and image.dtype == like.dtype


def test_one_image_serves_a_batch(first, second):
    frames = morph(first[:1], second, [0, 1])
    assert torch.equal(frames.z, torch.stack([first.z[0], second.z[0], first.z[0], second.z[1]]))
    assert torch.equal(morph(first, second[:1], [1]).z, second.z[:1].expand(2, -1))
    three = Latent.cat([first, first[:1]])
    with pytest.raises(ValueError, match="have 3 and 2 images. Give as many of both"):
        morph(three, second, [0.5])


def test_latents_without_images_are_drawn(tiny_model, first, second):
    bare = replace(second, sources=(), residual=None)
    frames = morph(first, bare, [0, 0.5, 1])
    assert len(frames) == 6 and not frames.sources
    assert bool((frames.residual[2::3] == 0).all())
    assert render(tiny_model, frames, num_steps=1)[0].shape[1:] == (40, 40)


@pytest.mark.parametrize("fractions", [[], [0, 1.5], [float("nan")]])
def test_fractions_that_are_refused(first, second, fractions):
    with pytest.raises(ValueError, match="no fractions|The fraction is .* from 0 to 1"):
        morph(first, second, fractions)


def test_latents_of_other_models_are_refused(first):
    with pytest.raises(ValueError, match="Encode both with the same model"):
        morph(first, Latent(torch.zeros(2, 7), first.x_T), [0.5])
