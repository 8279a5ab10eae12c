"""The five verbs on a random model: identity, batches, immutability, refusals."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch

from comfyui_cldis.editing.direction import LIMIT, as_number
from comfyui_cldis.editing.latent import Latent, slerp
from comfyui_cldis.editing.pipeline import (
    SAMPLERS,
    NotFiniteError,
    decode,
    edit,
    encode,
    interpolate,
    preview,
    traverse,
)
from comfyui_cldis.warning import AmountWarning


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


def test_each_item_may_have_edits_of_its_own(tiny_model, latent):
    own = [{"yaw": 1.0}, {"hair length": -1, "yaw": 0.5}]
    moved = edit(tiny_model, latent, own)
    for index, edits in enumerate(own):
        at = slice(index, index + 1)
        assert torch.equal(moved.z[at], edit(tiny_model, latent[at], edits).z)
        assert torch.equal(moved.x_T[at], latent.x_T[at])
    assert torch.equal(edit(tiny_model, latent, [{}, {"yaw": 0}]).z, latent.z)
    assert torch.equal(edit(tiny_model, latent, ({}, own[1])).z[0], latent.z[0])
    with pytest.raises(ValueError, match="edits for 3 images and 2 in the latent. Give one"):
        edit(tiny_model, latent, [{}, {}, {}])
    with pytest.raises(ValueError, match="'smlie' is not in 'tiny'"):
        edit(tiny_model, latent, [{}, {"smlie": 1}])
    with pytest.warns(AmountWarning):
        edit(tiny_model, latent, [{}, {"yaw": 1e9}])


@pytest.mark.parametrize("edits", ["yaw", 3, [1.0, 2.0], [{}, None]])
def test_edits_are_mappings(tiny_model, latent, edits):
    with pytest.raises(TypeError, match="Give a mapping such as .* or a list with one for each"):
        edit(tiny_model, latent, edits)


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


def test_a_seed_draws_other_noise(tiny_model, latent):
    own = decode(tiny_model, latent, num_steps=2)
    fresh = decode(tiny_model, latent, num_steps=2, seed=3)
    assert not torch.equal(own, fresh)
    count = len(latent)
    assert torch.equal(
        decode(tiny_model, latent, num_steps=2, seed=[3 + b for b in range(count)]), fresh
    )
    with pytest.raises(ValueError, match=f"There are 1 seeds for {count} items"):
        decode(tiny_model, latent, num_steps=2, seed=[3])


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


@pytest.mark.parametrize("with_residual", ["first", "second", "neither"])
def test_a_missing_residual_counts_as_zeros(latent, with_residual):
    residual = latent.residual + 1
    first = Latent(latent.z, latent.x_T, residual if with_residual == "first" else None)
    second = Latent(latent.z + 1, latent.x_T, residual if with_residual == "second" else None)
    for fraction, end in ((0, first), (1, second), (np.float32(1), second)):
        assert interpolate(first, second, fraction) is end
    found = interpolate(first, second, 0.25).residual
    if with_residual == "neither":
        assert found is None
    else:
        share = 0.75 if with_residual == "first" else 0.25
        assert torch.allclose(found, share * residual)


def test_interpolation_starts_at_what_the_networks_take_for_no_residual(tiny_model, latent):
    none = Latent(latent.z, latent.x_T)
    nearly = interpolate(none, latent, 1e-6)
    assert torch.allclose(
        decode(tiny_model, none, num_steps=2), decode(tiny_model, nearly, num_steps=2), atol=1e-4
    )


@pytest.mark.parametrize("fraction", [-0.1, 1.5, 1e30, float("nan"), "half", None, True])
def test_interpolation_is_between(latent, fraction):
    with pytest.raises(ValueError, match="The fraction is .* from 0 to 1"):
        interpolate(latent, latent, fraction)


def test_interpolation_of_unlike_latents(latent):
    with pytest.raises(ValueError, match="x_T of shapes"):
        interpolate(latent, Latent(latent.z, latent.x_T[..., :16]), 0.5)
    with pytest.raises(ValueError, match="residual of shapes"):
        interpolate(latent, Latent(latent.z, latent.x_T, latent.residual[:, :1]), 0.5)


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


def test_on_a_cpu_float16_draws_its_preview_in_float32(make_model, latent):
    short, exact = make_model(), make_model()
    short.networks.half()
    exact.networks.half().float()
    assert torch.equal(preview(short, latent), preview(exact, latent))
    assert short.networks.dtype == torch.float16  # which the networks stay


SCALARS = [
    1.5,
    np.float16(1.5),
    np.float32(1.5),
    np.float64(1.5),
    np.array(1.5),
    np.array([[1.5]]),
    torch.tensor(1.5),
    torch.tensor([1.5], dtype=torch.float64),
    torch.tensor(1.5, requires_grad=True),
    Fraction(3, 2),
]


@pytest.mark.parametrize("amount", SCALARS, ids=repr)
def test_amounts_are_numbers_of_any_kind(tiny_model, latent, amount):
    expected = edit(tiny_model, latent, {"yaw": 1.5}).z
    found = edit(tiny_model, latent, {"yaw": amount}).z
    assert torch.equal(found, expected) and not found.requires_grad
    assert torch.equal(traverse(tiny_model, latent, "yaw", [amount]).z, expected)


def test_amounts_are_whole_numbers_of_any_kind_and_rows_of_them(tiny_model, latent):
    expected = traverse(tiny_model, latent, "yaw", [-1.0, 0.0, 1.0]).z
    for row in (np.arange(-1, 2), torch.arange(-1, 2), np.linspace(-1, 1, 3, dtype=np.float32)):
        assert torch.equal(traverse(tiny_model, latent, "yaw", row).z, expected)


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.bool_(True),
        np.array(True),
        torch.tensor(True),
        "1",
        b"1",
        np.array("1"),
        1j,
        np.complex64(1),
        torch.tensor(1j),
        None,
        [1.0],
        np.zeros(2),
        torch.zeros(2),
        torch.zeros(0),
    ],
    ids=repr,
)
def test_what_is_no_number(value):
    assert as_number(value) is None


def test_large_amounts_are_applied_as_far_as_the_limit(tiny_model, latent):
    yaw = tiny_model.direction("yaw")
    for amount, limit in ((1e9, LIMIT * yaw.maximum), (-1e30, LIMIT * yaw.minimum)):
        with pytest.warns(
            AmountWarning, match=f"Applied is {limit:.2f}: at most {LIMIT} times the range"
        ):
            found = edit(tiny_model, latent, {"yaw": amount})
        assert torch.equal(found.z, edit(tiny_model, latent, {"yaw": limit}).z)
        assert bool(torch.isfinite(decode(tiny_model, found, num_steps=2)).all())
        assert bool(torch.isfinite(preview(tiny_model, found)).all())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edit(tiny_model, latent, {"yaw": LIMIT * yaw.maximum})


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"smlie": 1.0}, "Direction 'smlie' is not in 'tiny'. It has: hair length, yaw"),
        ({"yaw": float("nan")}, "amount of direction 'yaw' is nan. Give a finite"),
        ({"yaw": float("inf")}, "'yaw' is inf"),
        ({"yaw": 10**400}, "'yaw' is inf. Give a finite"),
        ({"yaw": np.float32("nan")}, "'yaw' is nan. Give a finite"),
        ({"yaw": torch.zeros(2)}, "'yaw' is tensor.*Give a number"),
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
    for steps in (0, 2):
        with pytest.raises(ValueError, match="batch of images is empty. Give at least one"):
            encode(tiny_model, torch.zeros(0, 3, 32, 32), inversion_steps=steps)
    for x_T in (latent.x_T[:, :, :16], latent.x_T[:, :1], latent.x_T.flatten(1), latent.x_T[:0]):
        with pytest.raises(ValueError, match="noise map has shape .* does not fit tiny"):
            decode(tiny_model, Latent(latent.z, x_T))
    with pytest.raises(ValueError, match="no inverted x_T"):
        decode(tiny_model, Latent(latent.z))
    with pytest.raises(ValueError, match="7 scalars but tiny has 4"):
        decode(tiny_model, Latent(torch.zeros(1, 7)), seed=0)
    with pytest.raises(ValueError, match="Unknown sampler"):
        decode(tiny_model, latent, sampler="euler")
    with pytest.raises(ValueError, match="no amounts"):
        traverse(tiny_model, latent, "yaw", [])


@pytest.mark.parametrize(
    ("layer", "what", "compute"),
    [
        ("encoder.mu", "codes", lambda model, _: encode(model, images(), inversion_steps=0)),
        ("unet.out", "noise maps", lambda model, _: encode(model, images(), inversion_steps=1)),
        ("unet.out", "images", lambda model, latent: decode(model, latent, num_steps=1)),
        ("copilot.up.2", "previews", preview),
    ],
)
def test_what_is_not_finite_is_never_passed_on(make_model, latent, layer, what, compute):
    remedy = "Edit by less, or use another" if what in ("images", "previews") else "Use another"
    for dtype, words in (
        (torch.float16, f"Numbers overflowed in float16: the {what} of tiny hold .* in float32."),
        (torch.bfloat16, f"In bfloat16 the {what} of tiny hold NaN or .*. {remedy} model."),
        (torch.float32, f"In float32 the {what} of tiny hold NaN or .*. {remedy} model."),
    ):
        model = make_model()
        model.networks.to(dtype).get_parameter(f"{layer}.bias").fill_(float("inf"))
        with pytest.raises(NotFiniteError, match=words) as caught:
            compute(model, latent)
        assert caught.value.is_short == (dtype == torch.float16)
