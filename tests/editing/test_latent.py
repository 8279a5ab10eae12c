"""A latent as a batch: its items, one by one and in slices."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from comfyui_cldis.editing.editable import LatentStatistics
from comfyui_cldis.editing.framing import Origin
from comfyui_cldis.editing.latent import Latent, Source
from comfyui_cldis.editing.pipeline import interpolate


@pytest.fixture(scope="module")
def latent() -> Latent:
    z, x_T, residual = torch.rand(3, 4), torch.rand(3, 3, 8, 8), torch.rand(3, 2)
    origins = tuple(Origin(20 + b, 30, "crop") for b in range(3))
    return Latent(
        z, x_T, residual, origins, tuple(Source(x, c) for x, c in zip(x_T, z, strict=True))
    )


def is_same(first: Latent, second: Latent) -> bool:
    for each in fields(Latent):
        one, other = getattr(first, each.name), getattr(second, each.name)
        alike = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
        if not alike:
            return False
    return True


@pytest.mark.parametrize("kind", [int, np.int64, torch.tensor])
def test_a_whole_number_gives_a_batch_of_one(latent, kind):
    for number, at in ((0, 0), (2, 2), (-1, 2), (-3, 0)):
        one = latent[kind(number)]
        assert len(one) == 1 and is_same(one, latent[at : at + 1])


def test_a_latent_can_be_gone_through(latent):
    found = list(latent)
    assert len(found) == 3
    assert all(is_same(each, latent[b : b + 1]) for b, each in enumerate(found))
    assert list(Latent(torch.zeros(0, 4))) == []
    assert is_same(Latent.cat(found), latent)


def test_the_model_is_kept(latent):
    known = replace(latent, fingerprint="one")
    kept = [known[1], known.repeat(2), known.with_z(latent.z + 1), known.map(torch.clone)]
    kept += [Latent.cat([latent, known]), interpolate(latent, known, 0.5)]
    assert {each.fingerprint for each in kept} == {"one"}
    other = replace(latent, fingerprint="other")
    for join in (lambda: Latent.cat([known, other]), lambda: interpolate(known, other, 0.5)):
        with pytest.raises(ValueError, match="come from different models. Encode"):
            join()


def test_a_model_has_one_fingerprint_whatever_its_directions(tiny_model, make_model):
    fewer = tiny_model.without(["yaw"]).renamed("hair length", "hair")
    assert fewer.fingerprint == tiny_model.fingerprint != ""
    assert make_model(seed=1).fingerprint != tiny_model.fingerprint
    mean, ones = torch.zeros(4), torch.ones(4)
    unmeasured = LatentStatistics(mean, ones, -2 * ones, 2 * ones)
    assert replace(tiny_model, statistics=unmeasured).fingerprint == ""


@pytest.mark.parametrize("number", [3, -4])
def test_a_number_beyond_the_ends(latent, number):
    with pytest.raises(IndexError, match=f"no item {number} in a latent of 3 items. Count from 0."):
        latent[number]


@pytest.mark.parametrize("items", [1.5, "0", None, [0, 2], torch.tensor([0, 2]), np.array([True])])
def test_what_names_no_items(latent, items):
    with pytest.raises(TypeError, match="^The items of a latent are .* Give a slice such as 0:2"):
        latent[items]
