"""The five verbs on a random model: identity, batches, immutability, refusals."""

import pytest
import torch

from comfyui_cldis.editing.latent import Latent, slerp
from comfyui_cldis.editing.pipeline import (
    SAMPLERS,
    decode,
    edit,
    encode,
    interpolate,
    preview,
    traverse,
)


def images(count=2):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def latent(tiny_model):
    return encode(tiny_model, images(), inversion_steps=4)


def test_encode(tiny_model, latent):
    assert latent.z.shape == (2, 4) and latent.x_T.shape == (2, 3, 32, 32)
    assert latent.residual.shape == (2, 3)
    assert encode(tiny_model, images(), inversion_steps=0).x_T is None


def test_inversion_round_trip(tiny_model):
    latent = encode(tiny_model, images(), inversion_steps=20)
    back = decode(tiny_model, latent, num_steps=20)
    assert float((back - images()).abs().mean()) < 0.02


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_zero_edit_is_bit_identical(tiny_model, latent, sampler):
    plain = decode(tiny_model, latent, sampler=sampler, num_steps=3)
    for edits in ({}, {"yaw": 0}, {"yaw": 0.0, "hair length": -0.0}):
        zero = edit(tiny_model, latent, edits)
        assert torch.equal(decode(tiny_model, zero, sampler=sampler, num_steps=3), plain)


def test_edit_moves_by_standard_deviations_and_changes_nothing_in_place(tiny_model, latent):
    before = latent.z.clone(), latent.x_T.clone()
    moved = edit(tiny_model, latent, {"yaw": 2.0, "hair length": -1.0})
    std = tiny_model.statistics.std
    expected = torch.stack([2 * std[0], -std[1], 0 * std[2], 0 * std[3]])
    assert torch.allclose(moved.z - latent.z, expected.expand(2, 4), atol=1e-6)
    assert torch.equal(latent.z, before[0]) and torch.equal(latent.x_T, before[1])
    other = edit(tiny_model, latent, {"hair length": -1.0, "yaw": 2.0})
    assert torch.equal(moved.z, other.z)  # the order of the mapping does not matter


def test_edits_add_up(tiny_model, latent):
    twice = edit(tiny_model, edit(tiny_model, latent, {"yaw": 0.5}), {"yaw": 0.75})
    once = edit(tiny_model, latent, {"yaw": 1.25})
    assert torch.allclose(twice.z, once.z, atol=1e-6)


def test_batch_equals_singles(tiny_model, latent):
    for seed in (None, 11):
        together = decode(tiny_model, latent, num_steps=3, seed=seed)
        for b in range(2):
            alone = decode(
                tiny_model, latent[b : b + 1], num_steps=3, seed=None if seed is None else seed + b
            )
            assert torch.allclose(together[b : b + 1], alone, atol=1e-5)


def test_same_seed_same_image_and_global_state_untouched(tiny_model, latent):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = decode(tiny_model, latent, num_steps=2, seed=5)
    assert torch.equal(first, decode(tiny_model, latent, num_steps=2, seed=5))
    assert not torch.equal(first, decode(tiny_model, latent, num_steps=2, seed=6))
    assert torch.equal(before, torch.get_rng_state())


def test_freedom_goes_from_the_own_noise_to_the_seed(tiny_model, latent):
    own = decode(tiny_model, latent, num_steps=2)
    fresh = decode(tiny_model, latent, num_steps=2, seed=3)
    assert torch.equal(decode(tiny_model, latent, num_steps=2, seed=3, freedom=0.0), own)
    assert torch.equal(decode(tiny_model, latent, num_steps=2, seed=3, freedom=1.0), fresh)
    between = decode(tiny_model, latent, num_steps=2, seed=3, freedom=0.3)
    assert not torch.equal(between, own) and not torch.equal(between, fresh)
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="freedom is"):
            decode(tiny_model, latent, num_steps=2, seed=3, freedom=wrong)


def test_traverse_is_item_major(tiny_model, latent):
    walked = traverse(tiny_model, latent, "yaw", [-1.0, 0.0, 1.0])
    assert len(walked) == 6
    assert torch.equal(walked.z[1], latent.z[0]) and torch.equal(walked.z[4], latent.z[1])
    assert torch.equal(walked.x_T[3], latent.x_T[1])


def test_interpolate(latent):
    other = Latent(latent.z.flip(0), latent.x_T.flip(0), latent.residual.flip(0))
    assert torch.equal(interpolate(latent, other, 0).z, latent.z)
    assert torch.equal(interpolate(latent, other, 1.0).x_T, other.x_T)
    middle = interpolate(latent, other, 0.5)
    assert torch.allclose(middle.z[0], latent.z.mean(0), atol=1e-6)


def test_cat_joins_what_slices_cut(latent):
    joined = Latent.cat([latent[:1], latent[1:]])
    assert torch.equal(joined.z, latent.z) and torch.equal(joined.x_T, latent.x_T)
    with pytest.raises(ValueError, match="Only some of the latents have x_T"):
        Latent.cat([latent, Latent(latent.z, residual=latent.residual)])


def test_slerp_keeps_the_length_of_noise():
    a, b = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    middle = slerp(a, b, 0.5)
    assert torch.allclose(middle.flatten(1).norm(dim=1), a.flatten(1).norm(dim=1), rtol=0.05)
    assert torch.allclose(slerp(a, a, 0.3), a, atol=1e-6)


def test_preview(tiny_model, latent):
    image = preview(tiny_model, latent)
    assert image.shape == (2, 3, 32, 32) and float(image.abs().max()) <= 1


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"smlie": 1.0}, "Direction 'smlie' is not in tiny. It has: hair length, yaw"),
        ({"yaw": float("nan")}, "amount of direction 'yaw' is nan. Give a finite"),
        ({"yaw": float("inf")}, "'yaw' is inf"),
        ({"yaw": "much"}, "'yaw' is 'much'. Give a number"),
        ({"yaw": True}, "'yaw' is True"),
    ],
)
def test_bad_edits(tiny_model, latent, edits, words):
    with pytest.raises(ValueError, match=words):
        edit(tiny_model, latent, edits)


def test_bad_inputs(tiny_model, latent):
    with pytest.raises(ValueError, match="needs \\(B, 3, 32, 32\\)"):
        encode(tiny_model, torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="NaN"):
        encode(tiny_model, torch.full((1, 3, 32, 32), torch.nan))
    with pytest.raises(ValueError, match="no inverted noise"):
        decode(tiny_model, Latent(latent.z))
    with pytest.raises(ValueError, match="7 scalars but tiny has 4"):
        decode(tiny_model, Latent(torch.zeros(1, 7)), seed=0)
    with pytest.raises(ValueError, match="Unknown sampler"):
        decode(tiny_model, latent, sampler="euler")
    with pytest.raises(ValueError, match="no amounts"):
        traverse(tiny_model, latent, "yaw", [])
