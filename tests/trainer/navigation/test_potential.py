"""Curved directions: straight at the start, of the length asked for, and along a gradient."""

import pytest
import torch

from trainer.navigation import NavigationSettings, find
from trainer.navigation.potential import Potentials


def bent(seed: int = 0) -> Potentials:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        motion = Potentials(4, 3)
        torch.nn.init.normal_(motion.last.weight, std=0.3)
    return motion


def test_no_steps_give_the_axes_and_straight_paths(mixed_space):
    space = mixed_space(30.0)
    found = find(space, NavigationSettings(finder="flow", steps=0, directions=3))
    axes = find(space, NavigationSettings(directions=3))
    assert torch.allclose(found.vectors, axes.vectors, atol=1e-6)
    assert found.paths is not None and found.paths.shape == (3, 64, 13, 4)
    along = torch.linspace(-3, 3, 13)[None, None, :, None] * axes.vectors[:, None, None]
    base = found.paths[:, :, 6:7]
    assert torch.allclose(found.paths - base, along.expand(-1, 64, -1, -1), atol=1e-5)
    assert found.facts["bend_degrees"] == pytest.approx([0.0] * 3, abs=0.05)
    assert found.facts["path_spread"] == 0


def test_a_curve_follows_the_gradient_at_unit_speed():
    motion, codes = bent(), torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    chosen, tau = torch.tensor([0, 1, 2, 0, 1]), torch.full((5,), 0.3)
    slope = torch.zeros(5, 4)
    for column in range(4):  # central differences of z_k + w_k
        shift = torch.zeros(4)
        shift[column] = 1e-2

        def potential(at: torch.Tensor) -> torch.Tensor:
            return at[torch.arange(5), chosen] + motion.correction(at, tau, chosen)

        with torch.no_grad():
            slope[:, column] = (potential(codes + shift) - potential(codes - shift)) / 2e-2
    expected = slope / slope.norm(dim=1, keepdim=True)
    assert torch.allclose(motion.velocity(codes, tau, chosen), expected, atol=1e-3)
    assert float((expected - torch.eye(4)[chosen]).abs().max()) > 0.05  # it is bent
    way = motion.follow(codes, chosen, torch.full((5,), -2.0), 8)
    assert torch.allclose(way.diff(dim=0).norm(dim=2), torch.full((8, 5), 0.25), atol=1e-5)


def test_the_wave_equation_is_what_is_penalised():
    motion = bent()
    with torch.no_grad():
        motion.log_speed[1] = 0.5
    code, tau, step = torch.tensor([[0.3, -0.2, 0.5, 0.1]]).double(), 0.4, 1e-3
    chosen = torch.tensor([1])
    wave = motion.double()

    def value(at: torch.Tensor, time: float) -> float:
        return float(
            wave.correction(at, torch.tensor([time], dtype=torch.float64), chosen).detach()
        )

    middle = 2 * value(code, tau)
    second = (value(code, tau + step) + value(code, tau - step) - middle) / step**2
    laplace = 0.0
    for column in range(4):
        shift = torch.zeros(1, 4).double()
        shift[0, column] = step
        laplace += (value(code + shift, tau) + value(code - shift, tau) - middle) / step**2
    expected = (second - 2.718281828 * laplace) ** 2  # c = exp(.5)
    found = wave.residual(code, chosen, torch.tensor([1.2]).double()).detach()  # tau = 1.2 / 3
    assert expected > 1e-6 and float(found) == pytest.approx(expected, rel=1e-3)


def test_curves_are_learned_and_the_same_again(mixed_space, monkeypatch):
    monkeypatch.setattr("trainer.navigation.learned.EVALUATION_BATCHES", 1)
    space = mixed_space(25.0, count=100)
    settings = NavigationSettings(finder="flow", steps=3, images_per_step=3)
    first, again = find(space, settings), find(space, settings)
    assert first.paths is not None and again.paths is not None
    assert torch.equal(first.paths, again.paths) and torch.equal(first.vectors, again.vectors)
    assert torch.allclose(first.vectors @ first.vectors.T, torch.eye(4), atol=1e-5)
    middle = first.paths[:, :, 6]
    straight = torch.lerp(first.paths[:, :, 0], first.paths[:, :, -1], 0.5)
    assert float((middle - straight).norm(dim=2).max()) > 1e-3
    assert set(first.facts["accuracy"]) == {"learned", "axes", "random"}
