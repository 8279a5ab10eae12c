"""Factors carried from one latent to another: exact on straight and on bent directions."""

from dataclasses import replace

import pytest
import torch

from comfyui_cldis.editing.code_path import CodePath
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.framing import Origin
from comfyui_cldis.editing.latent import Latent, Source
from comfyui_cldis.editing.pipeline import edit
from comfyui_cldis.editing.transfer import amounts_between, transfer

SLANTED = (0.6, 0.8, 0.0, 0.0)  # neither along "yaw" nor orthogonal to it
BEND = CodePath((-2.0, 0.0, 1.0, 3.0), ((0, 0, -1, 0), (0,) * 4, (0, 0, 1, 1), (0, 0, 1, 4)))


@pytest.fixture
def slanted(tiny_model):
    directions = (*tiny_model.directions[1:], Direction("smile", SLANTED, -2, 2))
    return replace(tiny_model, directions=directions)


@pytest.fixture
def bent(tiny_model):
    path = Direction("age", (0.0, 0.0, 1.0, 0.0), -2, 2, path=BEND)
    return replace(tiny_model, directions=(*tiny_model.directions, path))


def latent(count=2, seed=0):
    z = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    pixels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    sources = tuple(Source(pixels, code) for code in z)
    return Latent(
        z, torch.randn(count, 3, 32, 32), z[:, :3], (Origin(8, 8, "crop"),) * count, sources
    )


def test_the_amounts_of_an_edit_are_found_again(slanted):
    start = latent()
    edits = [{"yaw": 0.75, "smile": -1.25}, {"yaw": -0.5}]
    found = amounts_between(slanted, start, edit(slanted, start, edits), ["smile", "yaw"])
    assert torch.allclose(found, torch.tensor([[-1.25, 0.75], [0, -0.5]]).double(), atol=1e-6)


def test_directions_that_are_not_orthogonal_are_solved_together(slanted):
    first = Latent(torch.zeros(1, 4))
    second = Latent(slanted.statistics.std * torch.tensor([[1.0, 1.0, 5.0, 0.0]]))
    both = amounts_between(slanted, first, second)
    assert torch.allclose(both, torch.tensor([[0.25, 1.25]]).double(), atol=1e-6)
    # Alone, a direction takes over the part it shares with the one left out.
    alone = amounts_between(slanted, first, second, ["smile"])
    assert torch.allclose(alone, torch.tensor([[1.4]]).double(), atol=1e-6)


def test_the_item_then_lies_where_the_reference_does(slanted):
    moved = transfer(slanted, latent(), latent(seed=1))
    left = (moved.z - latent(seed=1).z) / slanted.statistics.std
    vectors = torch.tensor([direction.vector for direction in slanted.directions])
    assert float((left @ vectors.T).abs().max()) < 1e-5
    assert float(left.abs().max()) > 0.1  # what no direction is of stays


def test_only_the_code_moves(slanted):
    start = latent()
    before = start.z.clone()
    moved = transfer(slanted, start, latent(1, seed=1), ["yaw"])
    assert torch.equal(start.z, before) and not torch.equal(moved.z, before)
    assert torch.equal(moved.z[:, 1:], before[:, 1:])  # "yaw" is the first dimension
    assert moved.x_T is start.x_T and moved.residual is start.residual
    assert moved.sources is start.sources and moved.origins is start.origins


def test_strength_is_a_share_of_the_way(slanted):
    start, end = latent(), latent(1, seed=1)
    whole = transfer(slanted, start, end).z - start.z
    for strength in (0.5, 2):
        part = transfer(slanted, start, end, strength=strength).z - start.z
        assert torch.allclose(part, strength * whole, atol=1e-5)
    assert torch.equal(transfer(slanted, start, end, strength=0).z, start.z)
    assert torch.equal(transfer(slanted, start, start).z, start.z)


def test_one_reference_for_all_equals_one_for_each(slanted):
    start, end = latent(3), latent(1, seed=1)
    assert torch.equal(transfer(slanted, start, end).z, transfer(slanted, start, end.repeat(3)).z)
    with pytest.raises(ValueError, match="reference has 2 images and the latent 3. Give one for"):
        transfer(slanted, start, latent())


@pytest.mark.parametrize("amount", [-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 1.75, 3.0, 4.0])
def test_a_bent_direction_is_followed_along_its_path(bent, amount):
    start = latent()
    end = edit(bent, start, {"age": amount, "yaw": 1.0})
    found = amounts_between(bent, start, end, ["yaw", "age"])
    assert torch.allclose(found, torch.tensor([1.0, amount]).double().expand(2, 2), atol=1e-5)
    moved = transfer(bent, start, end, ["age"])
    assert torch.allclose(moved.z[:, 2:], end.z[:, 2:], atol=1e-5)


def test_bent_and_straight_directions_that_overlap_settle(bent):
    slant = Direction("old", (0.0, 0.0, 0.6, 0.8), -2, 2)
    model = replace(bent, directions=(*bent.directions, slant))
    start = latent(5)
    left = [
        (transfer(model, start, latent(5, seed=1), names).z - latent(5, seed=1).z)
        / model.statistics.std
        for names in (["age"], ["old"], ["age", "old"])
    ]
    sizes = [each[:, 2:].norm(dim=1) for each in left]
    assert bool((sizes[2] <= torch.minimum(sizes[0], sizes[1]) + 1e-5).all())


def test_a_dimension_that_never_varied_counts_for_nothing(tiny_model):
    std = tiny_model.statistics.std.clone()
    std[2] = 0
    direction = Direction("both", (0.0, 0.6, 0.8, 0.0), -2, 2)
    model = replace(
        tiny_model, directions=(direction,), statistics=replace(tiny_model.statistics, std=std)
    )
    second = Latent(std * torch.tensor([[0, 1.2, 0, 0]]) + torch.tensor([[0, 0, 7.0, 0]]))
    found = amounts_between(model, Latent(torch.zeros(1, 4)), second)
    assert found.tolist() == [[pytest.approx(2.0)]]


def test_what_is_refused(tiny_model):
    start = latent()
    with pytest.raises(ValueError, match="'smlie' is not in 'tiny'. It has: hair length, yaw"):
        transfer(tiny_model, start, start, ["smlie"])
    with pytest.raises(TypeError, match="names are the text 'yaw'. Give a list"):
        transfer(tiny_model, start, start, "yaw")
    with pytest.raises(ValueError, match="7 scalars but tiny has 4. Encode the image"):
        transfer(tiny_model, start, Latent(torch.zeros(1, 7)))
    for strength in (-0.1, 2.5, float("nan"), "much"):
        with pytest.raises(ValueError, match="The strength is .* from 0 to 2"):
            transfer(tiny_model, start, start, strength=strength)  # type: ignore[arg-type]


def test_a_model_without_directions_has_nothing_to_transfer(tiny_model):
    bare = replace(tiny_model, directions=())
    assert amounts_between(bare, latent(), latent(seed=1)).shape == (2, 0)
    assert torch.equal(transfer(bare, latent(), latent(seed=1)).z, latent().z)
