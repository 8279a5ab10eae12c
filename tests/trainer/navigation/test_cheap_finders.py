"""Finders in closed form, against what is known of a renderer, by hand, and by autograd."""

import math

import pytest
import torch

from trainer.navigation import ModelSpace, NavigationSettings, RendererSpace, find, jacobian
from trainer.navigation.pca import fast_ica, polar, varimax_rotation
from trainer.navigation.settings import Finder
from trainer.navigation.weights import conditioning_gram
from trainer.training.batches import step_generator

ALL: list[Finder] = ["axes", "pca", "varimax", "ica", "weights", "jacobian"]


@pytest.mark.filterwarnings("ignore:FastICA did not converge")  # Gaussian codes
@pytest.mark.parametrize("finder", ALL)
def test_directions_are_of_unit_length_signed_and_the_same_again(mixed_space, finder):
    space = mixed_space(25.0, "gaussian")
    first = find(space, NavigationSettings(finder=finder), seed=3)
    again = find(space, NavigationSettings(finder=finder), seed=3)
    assert torch.equal(first.vectors, again.vectors) and first.finder == finder
    products = first.vectors @ first.vectors.T
    if finder == "ica":  # mixing vectors need not be at right angles
        products = products.diagonal().diag()
    assert torch.allclose(products, torch.eye(4), atol=1e-5)
    largest = first.vectors.gather(1, first.vectors.abs().argmax(1, keepdim=True))
    assert bool((largest > 0).all())
    assert len(find(space, NavigationSettings(finder=finder, directions=2)).vectors) == 2


def test_principal_components_find_factors_of_different_variance(
    mixed_space, factor_rows, agreement
):
    found = find(mixed_space(40.0, "gaussian"), NavigationSettings(finder="pca"))
    assert agreement(found.vectors, factor_rows(40.0)) > 0.99
    # variances 4, 1.96, 1, .36 of 7.32
    expected = [4 / 7.32, 1.96 / 7.32, 1 / 7.32, 0.36 / 7.32]
    assert found.facts["shares"] == pytest.approx(expected, abs=0.02)


def test_independent_components_find_factors_that_are_not_gaussian(
    mixed_space, factor_rows, agreement
):
    space = mixed_space(40.0, "uniform")
    found = find(space, NavigationSettings(finder="ica"))
    assert agreement(found.vectors, factor_rows(40.0)) > 0.99
    assert found.facts["smallest_angle_degrees"] > 85
    # equal variances: principal components cannot tell the factors from any mix of them
    principal = find(space, NavigationSettings(finder="pca"))
    assert agreement(principal.vectors, factor_rows(40.0)) < 0.95
    assert principal.facts["smallest_gap"] < 0.05


def test_independent_components_need_not_be_at_right_angles(factor_rows, agreement, mixed_space):
    space = mixed_space(40.0, "uniform")
    # the second factor's row leans 37 degrees towards the first
    oblique = factor_rows(40.0)
    oblique[1] = 0.6 * oblique[0] + 0.8 * oblique[1]
    amounts = space.codes @ factor_rows(40.0).T
    found = find(
        RendererSpace(lambda codes: codes.repeat(1, 3)[:, :, None, None], amounts @ oblique),
        NavigationSettings(finder="ica"),
    )
    assert agreement(found.vectors, oblique) > 0.99
    assert found.facts["smallest_angle_degrees"] == pytest.approx(53.13, abs=3)
    # read along them, the amounts are the factors
    read = found.project(amounts @ oblique)
    matches = torch.corrcoef(torch.cat([read, amounts], dim=1).T)[:4, 4:].abs()
    assert float(matches.amax(0).min()) > 0.99


def test_independent_components_by_hand_and_without_chance():
    """Two uniform sources, white, turned by 30 degrees: the answer turns them back."""
    sources = (
        torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)).double() - 0.5
    ) * 12**0.5
    rotation = torch.tensor([[0.75**0.5, -0.5], [0.5, 0.75**0.5]]).double()
    white = (sources @ rotation.T) @ torch.linalg.inv(
        torch.linalg.cholesky(torch.cov((sources @ rotation.T).T))
    ).T
    unmixing, rounds = fast_ica(white, torch.eye(2).double())
    again, _ = fast_ica(white, torch.eye(2).double())
    assert torch.equal(unmixing, again) and 1 < rounds < 50
    assert torch.allclose(unmixing @ unmixing.T, torch.eye(2).double(), atol=1e-12)
    found = torch.corrcoef(torch.cat([white @ unmixing.T, sources], dim=1).T)[:2, 2:].abs()
    assert float(found.amax(0).min()) > 0.999


def test_dimensions_that_repeat_each_other_give_one_direction(mixed_space, factor_rows, agreement):
    space = mixed_space(40.0, "uniform")
    # the code's last dimension once more, turned round: five dimensions, four of them its own
    noise = 0.01 * torch.randn(len(space.codes), 1, generator=torch.Generator().manual_seed(1))
    twin = torch.cat([space.codes, noise - space.codes[:, 3:]], dim=1)

    def render(codes):
        last = (codes[:, 3:4] - codes[:, 4:5]) / 2
        return space.render(torch.cat([codes[:, :3], last], dim=1))

    found = find(RendererSpace(render, twin), NavigationSettings(finder="ica"))
    assert found.vectors.shape == (4, 5)
    rows = torch.cat([factor_rows(40.0), -factor_rows(40.0)[:, 3:]], dim=1)
    assert agreement(found.vectors, rows / rows.norm(dim=1, keepdim=True)) > 0.95
    asked = find(RendererSpace(render, twin), NavigationSettings(finder="ica", directions=5))
    assert asked.vectors.shape == (5, 5)


@pytest.mark.parametrize("finder", ["pca", "varimax", "ica", "sparse", "joint"])
def test_more_directions_than_the_codes_have_are_refused(mixed_space, finder):
    """They were not numbers, or the same direction twice."""
    space = mixed_space(40.0, "uniform")
    twin = torch.cat([space.codes, -space.codes[:, 3:]], dim=1)
    words = r"5 directions are asked for, but .* in only 4 ways\. Ask for 4 or fewer"
    repeating = RendererSpace(
        lambda codes: space.render(torch.cat([codes[:, :3], codes[:, 3:4] - codes[:, 4:]], 1)),
        twin,
    )
    with pytest.raises(ValueError, match=words):
        find(repeating, NavigationSettings(finder=finder, directions=5))
    found = find(repeating, NavigationSettings(finder=finder, directions=4))
    assert found.vectors.shape == (4, 5) and bool(found.vectors.isfinite().all())
    same = RendererSpace(repeating.render, torch.ones_like(twin))
    with pytest.raises(ValueError, match="All images have the same code. Give images that differ"):
        find(same, NavigationSettings(finder=finder))


def test_varimax_makes_loadings_sparse_within_their_span():
    # a plane of R^4 spanned by e1 + e2 and e3 + e4, given by a basis turned 30 degrees in it
    half = 0.5**0.5
    sparse = torch.tensor([[half, half, 0, 0], [0, 0, half, half]]).double()
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    mixed = torch.tensor([[c, s], [-s, c]]).double() @ sparse
    turned = varimax_rotation(mixed.T).T @ mixed
    assert float((sparse @ turned.T).abs().amax(1).min()) == pytest.approx(1, abs=1e-6)


def test_nearest_orthonormal_matrix():
    # diag(3, .1) times a rotation: the nearest orthogonal matrix is the rotation
    rotation = torch.tensor([[0.6, 0.8], [-0.8, 0.6]])
    stretched = rotation @ torch.diag(torch.tensor([3.0, 0.1]))
    assert torch.allclose(polar(stretched), rotation, atol=1e-6)


def test_weight_directions_are_the_singular_vectors_of_a_linear_layer():
    weight = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    weight = weight * torch.tensor([4.0, 1.0, 2.0, 0.5])
    space = RendererSpace(lambda codes: (codes @ weight.T)[:, None, None], torch.randn(50, 4))
    found = find(space, NavigationSettings(finder="weights"))
    _, values, right = torch.linalg.svd(weight, full_matrices=False)
    assert torch.allclose((found.vectors @ right.T).abs(), torch.eye(4), atol=1e-4)
    shares = (values**2 / (values**2).sum()).tolist()
    assert found.facts["shares"] == pytest.approx(shares, abs=1e-4)


@pytest.fixture(scope="module")
def adagn_model(make_model):
    from dataclasses import replace

    from comfyui_cldis.model import DecoderConfig

    part = DecoderConfig(
        base_channels=8,
        channel_mults=(1, 2),
        attention_sizes=(8,),
        embed_dim=16,
        num_heads=2,
        conditioner="adagn",
    )
    model = make_model()
    networks = type(model.networks)(replace(model.networks.config, decoder=part))
    generator = torch.Generator().manual_seed(1)
    for parameter in networks.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return replace(model, networks=networks.requires_grad_(False).train(False))


def space_of(model, count: int = 8) -> ModelSpace:
    generator = torch.Generator().manual_seed(2)
    return ModelSpace.of_images(model, torch.rand(count, 3, 32, 32, generator=generator) * 2 - 1)


def test_conditioning_products_equal_autograd(adagn_model):
    space = space_of(adagn_model)
    codes = space.codes[:3]
    gram = conditioning_gram(space, codes)
    expected = torch.zeros(4, 4).double()
    for code in codes:
        jacobian_ = torch.autograd.functional.jacobian(
            lambda one: space.conditions(one[None])[0], code, vectorize=True
        )
        assert isinstance(jacobian_, torch.Tensor) and len(jacobian_) > 100
        expected += jacobian_.double().T @ jacobian_.double() / 3
    assert torch.allclose(gram, expected, rtol=1e-4, atol=1e-8)
    off_diagonal = gram - gram.diagonal().diag()
    assert float(off_diagonal.abs().max()) > 1e-3 * float(gram.max())


def test_tokens_share_no_weight_so_their_directions_are_the_axes(tiny_model):
    space = space_of(tiny_model)
    gram = conditioning_gram(space, space.codes)
    assert torch.equal(gram, gram.diagonal().diag())
    found = find(space, NavigationSettings(finder="weights"))
    assert bool((found.vectors.amax(1) == 1).all())


@pytest.mark.parametrize("most_values", [2**26, 1], ids=["at once", "in parts"])
def test_jacobian_directions_equal_those_of_autograd(monkeypatch, most_values):
    monkeypatch.setattr(jacobian, "MOST_VALUES", most_values)
    monkeypatch.setattr(jacobian, "COLUMNS", 5)
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(4, 9, generator=generator), torch.randn(9, 12, generator=generator)

    def render(codes):
        return ((codes @ first).tanh() @ second).view(-1, 3, 2, 2)

    space = RendererSpace(render, torch.randn(10, 4, generator=generator))
    gram = torch.zeros(4, 4).double()
    for code in space.codes:
        full = torch.autograd.functional.jacobian(lambda one: render(one[None]).flatten(), code)
        assert isinstance(full, torch.Tensor)
        gram += full.double().T @ full.double()
    values, vectors = torch.linalg.eigh(gram)
    found = find(space, NavigationSettings(finder="jacobian"))
    similarity = (found.vectors.double() @ vectors.flip(1)).abs()
    assert torch.allclose(similarity, torch.eye(4).double(), atol=1e-4)
    shares = (values.flip(0) / values.sum()).tolist()
    assert found.facts["shares"] == pytest.approx(shares, abs=1e-4)


@pytest.mark.parametrize("name", ["tiny_model", "adagn_model"])
def test_a_models_slope_is_what_a_small_step_changes(name, request):
    space = space_of(request.getfixturevalue(name), 2)
    scene = space.scene(torch.arange(2), step_generator(1, 0))
    vector, step = torch.tensor([0.6, -0.8, 0.0, 0.0]), 1e-2
    exact = jacobian.slope(scene, space.codes, vector)
    with torch.no_grad():
        change = scene(space.codes + step * vector) - scene(space.codes - step * vector)
    assert float(exact.abs().max()) > 1e-3
    assert torch.allclose(exact, change / (2 * step), atol=2e-2 * float(exact.abs().max()))


def test_jacobian_directions_find_factors_of_different_strength(
    mixed_space, factor_rows, agreement
):
    found = find(mixed_space(40.0), NavigationSettings(finder="jacobian"))
    assert agreement(found.vectors, factor_rows(40.0)) > 0.999
    # squares of .5, .4, .3, .2 over their sum .54
    assert found.facts["shares"] == pytest.approx([0.463, 0.2963, 0.1667, 0.0741], abs=1e-3)


def test_dead_dimensions_are_dropped_and_never_come_back():
    codes = torch.rand(200, 5, generator=torch.Generator().manual_seed(0)) * 3.4 - 1.7
    weight = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    weight[1] = 0  # no effect
    weight[3] *= 0.01  # a hundredth of the others'
    space = RendererSpace(lambda z: (z @ weight).view(-1, 3, 2, 2), codes)
    for finder in ALL:
        found = find(space, NavigationSettings(finder=finder))
        assert found.vectors.shape == (3, 5), finder
        assert bool((found.vectors[:, [1, 3]] == 0).all())
        assert sorted(found.facts["active_dimensions"]) == [0, 2, 4]


def test_what_cannot_be_searched_is_refused_in_a_sentence(tiny_model, mixed_space):
    flat = RendererSpace(lambda codes: torch.zeros(len(codes), 3, 8, 8), torch.randn(20, 4))
    with pytest.raises(ValueError, match="No dimension of the code changes the image"):
        find(flat, NavigationSettings())
    with pytest.raises(ValueError, match=r"5 directions .* only 4 dimensions .* Ask for 4"):
        find(mixed_space(0.0), NavigationSettings(directions=5))
    with pytest.raises(ValueError, match="got 30 images for 4 dimensions. Give at least 40"):
        find(mixed_space(0.0, count=30), NavigationSettings(finder="ica"))
    drawn = ModelSpace.of_prior(tiny_model, 4, 0)
    with pytest.raises(ValueError, match="there are no images. Give a folder"):
        find(drawn, NavigationSettings(finder="pca"))
    with pytest.raises(ValueError, match="finder is 'best'. Use one of axes, pca"):
        NavigationSettings(finder="best")  # pyright: ignore[reportArgumentType]


def test_projection_gives_back_the_amounts():
    codes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    space = RendererSpace(lambda z: z[:, :, None, None], torch.randn(100, 4))
    basis = find(space, NavigationSettings(finder="pca", directions=3))
    amounts = torch.tensor([[1.0, -2.0, 0.5]])
    moved = codes[:1] + amounts @ basis.vectors
    assert torch.allclose(basis.project(moved) - basis.project(codes[:1]), amounts, atol=1e-5)
