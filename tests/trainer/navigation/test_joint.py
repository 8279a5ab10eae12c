"""Sparse effects and independent amounts: what each finds alone, and both together."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from comfyui_cldis.tracking.effects import GRID, NUM_SIGNED
from trainer.navigation import NavigationSettings, RendererSpace, Watch, find
from trainer.navigation.effects import LARGEST_SIDE, axis_effects, measured_images
from trainer.navigation.joint import Turned, best_angle, objective, settle

IDENTITY = torch.eye(3, dtype=torch.float64)


def random_values(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("finder", ["sparse", "joint"])
def test_the_factors_of_a_renderer_are_found_and_found_again(
    finder, mixed_space, factor_rows, agreement
):
    space, settings = mixed_space(40.0, "uniform"), NavigationSettings(finder=finder)
    found = find(space, settings, seed=3)
    assert agreement(found.vectors, factor_rows(40.0)) > 0.995
    assert torch.equal(found.vectors, find(space, settings, seed=3).vectors)
    assert found.facts["effects_left"] < 0.8
    assert found.facts["smallest_angle_degrees"] > 85
    strongest = find(space, replace(settings, directions=2)).vectors
    assert agreement(strongest, factor_rows(40.0)[:2]) > 0.995  # strengths .5 and .4 of four


def test_sparse_effects_find_factors_that_are_gaussian(mixed_space, factor_rows, agreement):
    space = mixed_space(40.0, "gaussian")  # of different variance, so the code is not white
    found = find(space, NavigationSettings(finder="sparse"))
    assert agreement(found.vectors, factor_rows(40.0)) > 0.99


def test_factors_need_not_be_at_right_angles(mixed_space, factor_rows, agreement):
    space = mixed_space(40.0, "uniform")
    oblique = factor_rows(40.0)
    oblique[1] = 0.6 * oblique[0] + 0.8 * oblique[1]
    inverse = torch.linalg.inv(oblique)

    def render(codes: torch.Tensor) -> torch.Tensor:
        return space.render(codes @ inverse.to(codes) @ factor_rows(40.0).to(codes))

    codes = space.codes @ torch.linalg.inv(factor_rows(40.0)) @ oblique
    found = find(RendererSpace(render, codes), NavigationSettings(finder="joint"))
    assert agreement(found.vectors, oblique) > 0.99
    # cosine .6 between the first two
    assert found.facts["smallest_angle_degrees"] == pytest.approx(53.13, abs=2)


def test_independence_alone_turns_where_effects_say_nothing():
    """Uniform codes turned in three planes; Gaussian effects look alike from every side."""
    generator = torch.Generator().manual_seed(1)
    factors = (torch.rand(3, 4000, generator=generator, dtype=torch.float64) - 0.5) * 12**0.5
    turn = torch.linalg.qr(random_values(3, 3))[0]
    effects = random_values(3, 20000, seed=2)
    start = Turned(IDENTITY, turn @ factors, effects * 3 / effects.abs().sum())
    found, sweeps = settle(start, 300.0)
    assert float((found.rotation @ turn).abs().amax(0).min()) > 0.995
    assert objective(found, 300.0) < objective(start, 300.0) - 0.1
    assert torch.allclose(found.codes, found.rotation @ start.codes, atol=1e-9)
    assert torch.allclose(found.effects, found.rotation @ start.effects, atol=1e-9)
    assert 1 < sweeps < 12
    # without the weight such effects leave the codes mixed
    assert float((settle(start, 0.0)[0].rotation @ turn).abs().amax(0).min()) < 0.9


def test_objective_by_hand():
    # |effects| sum to 2; ln cosh of +-1 is .433781 in every item, of 0 it is 0
    codes = torch.tensor([[1.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    effects = torch.tensor([[1.5, 0.0], [0.0, -0.5]], dtype=torch.float64)
    turned = Turned(torch.eye(2, dtype=torch.float64), codes, effects)
    assert objective(turned, 0.0) == 2
    flat, peaked = math.log(math.cosh(1)) - 0.37457, -0.37457
    assert objective(turned, 10.0) == pytest.approx(2 - 10 * (flat**2 + peaked**2), abs=1e-12)
    normal = np.linspace(-8, 8, 4001)
    mean = np.average(np.log(np.cosh(normal)), weights=np.exp(-(normal**2) / 2))
    assert mean == pytest.approx(0.37457, abs=5e-6)


def test_the_best_angle_of_a_plane_is_that_of_a_fine_search():
    codes = random_values(2, 500)
    effects = torch.tensor([[3.0, 1.0, 0.2], [-1.0, 3.0, 0.1]], dtype=torch.float64)
    for weight in (0.0, 30.0):
        found = best_angle(codes, effects, weight)
        values = []
        for angle in np.linspace(-np.pi / 4, np.pi / 4, 1801):
            c, s = math.cos(angle), math.sin(angle)
            plane = torch.tensor([[c, s], [-s, c]], dtype=torch.float64)
            turned = Turned(plane, plane @ codes, plane @ effects)
            values.append((objective(turned, weight), float(angle)))
        assert found == pytest.approx(min(values)[1], abs=0.02)  # a fifteenth of its step


def test_effects_are_those_of_the_cells_that_change(mixed_space):
    space = mixed_space(0.0)
    rows = axis_effects(space, torch.tensor([2, 0]), torch.arange(5), 0)
    assert rows.shape == (2, 5 * NUM_SIGNED * GRID * GRID) and rows.dtype == torch.float64
    cells = rows.view(2, 5, NUM_SIGNED, GRID, GRID)
    assert cells[:, :, 2:].square().mean(dim=(0, 1, 3, 4)).tolist() == pytest.approx([1, 1, 1])
    brightness = cells[:, :, 2].abs().mean(1)
    assert float(brightness[0, 5:, :3].min()) > 10 * float(brightness[0, :3].max())
    assert float(brightness[1, :3, :3].min()) > 10 * float(brightness[1, 5:].max())


def test_the_chroma_of_grey_images_has_no_weight(mixed_space, factor_rows, agreement):
    colour = mixed_space(40.0)
    grey = RendererSpace(lambda codes: colour.render(codes).mean(1, keepdim=True), colour.codes)
    rows = axis_effects(grey, torch.tensor([2, 0]), torch.arange(5), 0)
    channels = rows.view(2, 5, NUM_SIGNED, GRID, GRID).square().mean(dim=(0, 1, 3, 4)).tolist()
    assert channels[2] == pytest.approx(1) and channels[3:] == [0, 0]
    found = find(grey, NavigationSettings(finder="sparse"))
    assert agreement(found.vectors, factor_rows(40.0)) > 0.99


def test_progress_is_told_and_a_stop_obeyed(mixed_space):
    steps: list[tuple[int, int]] = []

    def on_step(done: int, total: int, figures: dict[str, float]) -> None:
        steps.append((done, total))

    settings = NavigationSettings(finder="joint")
    find(mixed_space(40.0), settings, watch=Watch(on_step))
    assert steps == [(done, 8) for done in range(1, 9)]  # four axes, four starts
    steps.clear()
    with pytest.raises(KeyboardInterrupt):
        find(mixed_space(40.0), settings, watch=Watch(on_step, lambda: len(steps) == 3))
    assert len(steps) == 3


def test_what_cannot_be_searched_is_refused_in_a_sentence(mixed_space):
    drawn = mixed_space(0.0)
    drawn.from_images = False
    for finder in ("sparse", "joint", "auto"):
        with pytest.raises(ValueError, match=f"'{finder}' looks at .* Give a folder"):
            find(drawn, NavigationSettings(finder=finder))
    with pytest.raises(ValueError, match="got 30 images for 4 dimensions. Give at least 40"):
        find(mixed_space(0.0, count=30), NavigationSettings(finder="joint"))
    small = RendererSpace(lambda codes: codes.view(-1, 1, 2, 2) / 4, torch.randn(50, 4))
    with pytest.raises(ValueError, match="images are 2 x 2 pixels.* another finder"):
        find(small, NavigationSettings(finder="joint"))


def test_larger_images_are_measured_at_the_largest_side():
    """By a factor some sides came out a pixel smaller: floor(49 * (128 / 49)) is 127."""
    sides = range(LARGEST_SIDE, 3 * LARGEST_SIDE, 3)
    sizes = [measured_images(torch.zeros(1, 3, side, side // 2)).shape[-2:] for side in sides]
    assert {height for height, _ in sizes} == {LARGEST_SIDE}
    assert {width for _, width in sizes} == {LARGEST_SIDE // 2}
