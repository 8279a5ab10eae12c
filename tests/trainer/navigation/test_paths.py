"""Curves as sliders: what is stored of them, how far they may be followed, and their round trip."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from comfyui_cldis.checkpoint import load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.directions.ranking import rank_vectors
from comfyui_cldis.editing.code_path import CodePath
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import edit, traverse
from trainer.navigation import Basis, ModelSpace
from trainer.navigation.paths import bends, shared_points, slider_amounts, slider_paths, spread
from trainer.navigation.result import keep_names, safe_ranges, visible_directions
from trainer.navigation.search import along

RADIUS = 4.0


def arc(amount: float) -> tuple[float, float]:
    """Unit speed along a circle that leaves along the first axis and bends towards the second."""
    angle = amount / RADIUS
    return RADIUS * math.sin(angle), RADIUS * (1 - math.cos(angle))


def curved(bent: bool = True, bases: int = 5) -> Basis:
    """Direction 0 along an arc in the plane of codes 0 and 1, direction 1 straight along code 2."""
    amounts = torch.linspace(-3, 3, 13).tolist()
    first = [[*(arc(a) if bent else (a, 0.0)), 0.0, 0.0] for a in amounts]
    second = [[0.0, 0.0, a, 0.0] for a in amounts]
    starts = torch.randn(bases, 1, 4, generator=torch.Generator().manual_seed(2))
    paths = starts + torch.tensor([first, second])[:, None]
    return Basis("flow", torch.eye(4)[[0, 2]], {}, paths)


def test_a_bent_curve_is_stored_as_a_path_and_a_straight_one_as_its_vector() -> None:
    basis = curved()
    # the chord to a point at angle t of a circle is t / 2 off the start
    assert bends(basis).tolist() == pytest.approx([math.degrees(3 / RADIUS / 2), 0], abs=0.1)
    path, straight = slider_paths(basis)
    assert straight is None and path is not None
    assert path.amounts == tuple(-3 + 0.5 * k for k in range(13))
    for amount in (-3.0, -0.5, 1.0, 2.5):
        assert path.displacement(amount) == pytest.approx([*arc(amount), 0, 0], abs=1e-5)
    assert path.displacement(0.0) == [0.0] * 4
    assert slider_paths(curved(bent=False)) == (None, None)
    assert slider_paths(replace(basis, paths=None)) == (None, None)


def test_a_slider_takes_the_mean_of_unlike_curves() -> None:
    basis = curved(bases=2)
    assert basis.paths is not None
    mirrored = basis.paths.clone()
    mirrored[:, 1, :, 1] = mirrored[:, 1, 6:7, 1] * 2 - mirrored[:, 1, :, 1]
    points = shared_points(mirrored)
    assert float(points[:, :, 1].abs().max()) < 1e-6  # one bends up, the other down
    assert points[0, -1, 0] == pytest.approx(arc(3)[0], abs=1e-5)
    assert spread(basis.paths) == pytest.approx(0, abs=1e-6)
    assert spread(mirrored) == pytest.approx(arc(3)[1] / 3 / 2, abs=1e-5)  # one curve of the two


def test_amounts_are_those_that_the_sliders_add_up_to_the_code() -> None:
    basis = curved()
    wanted = torch.tensor([[0.0, 0.0], [1.3, -0.7], [-2.6, 2.2], [2.9, -3.8]])
    path = slider_paths(basis)[0]
    assert path is not None
    codes = torch.tensor([path.displacement(float(a)) for a, _ in wanted])
    codes += wanted[:, 1:] * basis.vectors[1]
    assert torch.allclose(slider_amounts(basis, codes), wanted, atol=1e-4)
    projected = basis.project(codes)
    assert float((projected - wanted).abs().max()) > 0.1  # which the straight vectors do not give
    straight = replace(basis, paths=None)
    assert torch.allclose(slider_amounts(straight, codes), projected)


def test_curves_that_run_against_their_vectors_are_turned_round() -> None:
    basis = curved()
    assert basis.paths is not None
    turned = along(basis.vectors * torch.tensor([[-1.0], [1.0]]), basis.paths)
    assert torch.equal(turned[0], basis.paths[0].flip(1))
    assert torch.equal(turned[1], basis.paths[1])


def flat_space(model, codes: Tensor) -> ModelSpace:
    return ModelSpace(model, torch.zeros(len(codes), 3, 32, 32), codes, None)


def test_safe_ranges_lie_along_the_curve_and_end_with_it(tiny_model) -> None:
    basis = curved()
    path = slider_paths(basis)[0]
    assert path is not None
    even = torch.linspace(-2, 5, 1001)  # beyond the end at 3 the path is straight
    codes = torch.tensor([path.displacement(amount) for amount in even.tolist()])
    ranges = safe_ranges(flat_space(tiny_model, codes), basis, tiny_model)
    assert ranges[0].tolist() == pytest.approx([-2 + 7 * 0.005, 3.0], abs=1e-3)
    statistics = tiny_model.statistics
    recorded = (statistics.high[2] - statistics.mean[2]) / statistics.std[2]
    assert float(ranges[1, 1]) == pytest.approx(float(recorded), abs=1e-5)


def test_sliders_follow_the_curve_in_a_file_that_is_read_again(
    tiny_model, tmp_path, monkeypatch
) -> None:
    def rank(model, bases, vectors, ranges, **more):
        more |= {"num_steps": 1, "smallest_effect": 0.0}
        return rank_vectors(model, bases, vectors, ranges, **more)

    monkeypatch.setattr("trainer.navigation.result.rank_vectors", rank)
    codes = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    latent = Latent(tiny_model.statistics.mean[None].clone(), torch.randn(1, 3, 32, 32))
    found = visible_directions(tiny_model, flat_space(tiny_model, codes), curved(), latent)
    model = replace(tiny_model, directions=found)
    bent = next(each for each in found if each.vector[0] == 1)
    assert bent.path is not None and sum(each.path is not None for each in found) == 1
    save_checkpoint(tmp_path / "bent.safetensors", model)
    assert read_header(tmp_path / "bent.safetensors").format_version == 2
    again = load_checkpoint(tmp_path / "bent.safetensors")
    assert again.directions == found
    std = tiny_model.statistics.std
    moved = traverse(again, latent, bent.name, [-2.0, 0.0, 1.0]).z
    for row, amount in zip(moved, (-2.0, 0.0, 1.0), strict=True):
        expected = latent.z[0] + std * torch.tensor([*arc(amount), 0.0, 0.0])
        assert torch.allclose(row, expected, atol=1e-5)
    assert torch.equal(edit(again, latent, {bent.name: 0.0}).z, latent.z)
    save_checkpoint(tmp_path / "straight.safetensors", tiny_model)
    assert read_header(tmp_path / "straight.safetensors").format_version == 1


def test_the_effect_of_a_bent_direction_is_that_of_its_path(tiny_model) -> None:
    """A path that stands still on one side changes less than its vector does."""
    latent = Latent(torch.zeros(1, 4), torch.randn(1, 3, 32, 32))
    vectors, ranges = torch.eye(4)[:1], torch.tensor([[-2.0, 2.0]])
    still = CodePath((-1.0, 0.0, 1.0), ((0.0,) * 4, (0.0,) * 4, (1.0, 0.0, 0.0, 0.0)))
    both = [
        rank_vectors(
            tiny_model, latent, vectors, ranges, paths=paths, num_steps=1, smallest_effect=0.0
        )[0].effect
        for paths in ((), (still,))
    ]
    assert 0 < both[1] < 0.9 * both[0]


def test_a_known_direction_turns_the_path_with_the_vector() -> None:
    path = slider_paths(curved())[0]
    assert path is not None
    known = Direction("age", (-1.0, 0.0, 0.0, 0.0), -1.0, 2.0, "young", "old")
    found = Direction("size", (1.0, 0.0, 0.0, 0.0), -2.5, 1.5, path=path)
    (kept,) = keep_names((found,), (known,))
    assert (kept.name, kept.minimum, kept.maximum) == ("age", -1.5, 2.5)
    for amount in (-3.0, -1.2, 0.0, 2.0):
        assert kept.displacement(amount) == pytest.approx(found.displacement(-amount))
