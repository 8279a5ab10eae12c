"""Learned directions: where they start and end, what is drawn, and that stopping costs nothing."""

import pytest
import torch

from trainer.navigation import ModelSpace, NavigationSettings, Watch, find
from trainer.navigation.active import active_dimensions
from trainer.navigation.moves import Moves, apply_moves, draw_moves, similarity
from trainer.navigation.predictor import Jitter, Predictor
from trainer.navigation.rotation import Rotation, largest_rotation_deg, random_rows
from trainer.training.batches import step_generator
from trainer.training.checkpoint import load_state, save_state

QUICK = {"images_per_step": 3, "moves_per_image": 3}


def learned(steps: int, **changes) -> NavigationSettings:
    return NavigationSettings(**{"finder": "learned", "steps": steps, **QUICK, **changes})


def test_no_steps_give_exactly_the_axes(mixed_space):
    space = mixed_space(30.0)
    for directions in (0, 3):
        axes = find(space, NavigationSettings(directions=directions))
        found = find(space, learned(0, directions=directions))
        assert torch.equal(found.vectors, axes.vectors)
        assert found.facts["largest_rotation_deg"] == 0
        assert "accuracy" not in found.facts  # nobody learned to name a move


def test_the_rotation_is_orthonormal_and_turns_by_its_angle():
    rotation = Rotation(3, 3)
    with torch.no_grad():
        rotation.angles[0] = 0.5  # in the plane of the first two
    c, s = 0.8775825619, 0.4794255386  # cos and sin of .5
    expected = torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    assert torch.allclose(rotation.rows(), expected, atol=1e-6)
    assert largest_rotation_deg(rotation.rows()) == pytest.approx(28.6479, abs=1e-3)
    rows = random_rows(5, 3, torch.Generator().manual_seed(0))
    assert torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-5)


@pytest.mark.parametrize("finder", ["learned", "flow"])
def test_a_search_leaves_the_generators_of_the_gpus_alone(mixed_space, monkeypatch, finder):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded"))
    monkeypatch.setattr("trainer.navigation.learned.EVALUATION_BATCHES", 1)
    before = torch.get_rng_state()
    find(mixed_space(25.0), learned(1, finder=finder))
    assert torch.equal(torch.get_rng_state(), before)


def test_factors_that_the_axes_mix_are_found(mixed_space, factor_rows, agreement, monkeypatch):
    monkeypatch.setattr("trainer.navigation.learned.EVALUATION_BATCHES", 1)
    space = mixed_space(25.0)
    settings = learned(25, angle_rate=0.05, images_per_step=6, moves_per_image=4)
    found = find(space, settings)
    wanted = factor_rows(25.0)
    assert agreement(find(space, NavigationSettings()).vectors, wanted) < 0.85
    assert agreement(found.vectors, wanted) > 0.93
    assert set(found.facts["accuracy"]) == {"learned", "axes", "random"}
    assert found.facts["chance"] == 0.25


def test_a_stopped_search_resumes_as_if_it_never_stopped(mixed_space, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.navigation.learned.EVALUATION_BATCHES", 2)
    space = mixed_space(25.0)
    whole = find(space, learned(5), seed=2)
    done: list[int] = []
    watch = Watch(
        lambda step, total, figures: done.append(step),
        should_stop=lambda: len(done) == 2,
        folder=tmp_path / "state",
    )
    with pytest.raises(KeyboardInterrupt, match="saved at step 2 of 5. Start the same search"):
        find(space, learned(5), 2, watch)
    again = find(space, learned(5), 2, watch)
    assert done == [1, 2, 3, 4, 5]
    assert torch.equal(again.vectors, whole.vectors) and again.facts == whole.facts
    other = find(space, learned(5), seed=3)
    assert not torch.equal(other.vectors, whole.vectors)
    for settings, seed in (
        (learned(5), 3),
        (learned(5, redundancy_weight=0.5), 2),
        (learned(1), 2),
    ):
        with pytest.raises(ValueError, match="holds another search, at step 2"):
            find(space, settings, seed, watch)


def test_a_search_of_an_earlier_version_says_so(mixed_space, tmp_path):
    """Its state lacks the dimensions that its rows stand for."""
    steps: list[int] = []
    watch = Watch(lambda step, *_: steps.append(step), lambda: steps == [1], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        find(mixed_space(25.0), learned(2), watch=watch)
    state, _ = load_state(tmp_path) or ({}, {})
    del state["fingerprint"]["dimensions"]
    save_state(tmp_path, state)
    with pytest.raises(ValueError, match=r"an earlier version began.*Delete the folder"):
        find(mixed_space(25.0), learned(2), watch=watch)


def test_a_search_goes_on_where_codes_are_rounded_otherwise(make_model, monkeypatch, tmp_path):
    """As with another number of threads, or on another device."""
    monkeypatch.setattr("trainer.navigation.learned.EVALUATION_BATCHES", 1)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1
    space = ModelSpace.of_images(make_model(), images)
    steps: list[int] = []
    watch = Watch(lambda step, *_: steps.append(step), lambda: steps == [1], tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        find(space, learned(2), watch=watch)
    rounded = ModelSpace.of_images(make_model(), images)
    rounded.codes = rounded.codes * (1 + 1e-6)
    find(rounded, learned(2), watch=watch)
    assert steps == [1, 2]
    for model, other in ((make_model(seed=1), images), (make_model(), -images)):
        with pytest.raises(ValueError, match="holds another search"):
            find(ModelSpace.of_images(model, other), learned(2), watch=watch)


def test_a_models_directions_can_be_learned_and_its_weights_stay(make_model, monkeypatch):
    monkeypatch.setattr("trainer.navigation.learned.EVALUATION_BATCHES", 1)
    model = make_model()
    model.networks.requires_grad_(True)  # as in a training run
    before = {name: value.clone() for name, value in model.networks.state_dict().items()}
    space = ModelSpace.of_images(model, torch.rand(4, 3, 32, 32) * 2 - 1)
    found = find(space, learned(2))
    assert 0 < found.facts["largest_rotation_deg"] < 10
    after = model.networks.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.networks.parameters())


def test_moves_are_within_the_range_and_their_amount_is_what_was_moved(mixed_space):
    space = mixed_space(0.0)
    moves = draw_moves(space, learned(1, images_per_step=50), 4, step_generator(0, 0))
    assert len(moves.codes) == 150 and moves.times == 3
    chosen = moves.chosen.view(50, 3)
    assert all(len(set(row.tolist())) == 3 for row in chosen)  # different directions per item
    assert float(moves.amounts.abs().min()) >= 0.5 and float(moves.amounts.abs().max()) <= 3
    after, amounts = apply_moves(space, moves, moves.amounts[:, None] * torch.eye(4)[moves.chosen])
    assert float(amounts.abs().max()) <= 2 * 3**0.5  # uniform codes end at 3^.5
    kept = moves.codes.gather(1, moves.chosen[:, None])[:, 0] + amounts
    assert float(kept.max()) <= float(space.high.max()) + 1e-5
    # a patch changes by its strength times the amount: quarter k, channel k mod 3
    strengths = torch.tensor([0.5, 0.4, 0.3, 0.2])[moves.chosen]
    change = (after - moves.before).flatten(1).abs().amax(1)
    assert torch.allclose(change, strengths * amounts.abs(), atol=1e-5)


def test_similarity_is_1_for_twins_and_0_for_changes_in_different_places():
    jitter = Jitter.draw(2, 1, torch.Generator().manual_seed(0))

    def moved(second: torch.Tensor, amounts: tuple[float, float]) -> float:
        first = torch.zeros(1, 16, 16)
        first[:, :8] = amounts[0]
        before = torch.zeros(2, 1, 16, 16)
        moves = Moves(
            lambda codes: before,
            torch.zeros(2, 2),
            before,
            torch.tensor([0, 1]),
            torch.tensor(amounts),
            jitter,
            2,
        )
        return float(similarity(moves, torch.stack([first, second])))

    top, bottom, both = torch.zeros(3, 1, 16, 16).unbind(0)
    top[:, :8], bottom[:, 8:], both[:] = -2.0, 1.0, 1.0
    assert moved(top, (1.0, -2.0)) == pytest.approx(1.0, abs=1e-5)
    assert moved(bottom, (1.0, 1.0)) == pytest.approx(0.0, abs=1e-5)
    assert moved(both, (1.0, 1.0)) == pytest.approx(0.5, abs=1e-5)  # cosine .7071, squared


def test_jitter_is_drawn_per_pair_and_the_same_for_equal_images():
    images = torch.rand(4, 3, 16, 16)
    jitter = Jitter.draw(4, 3, torch.Generator().manual_seed(1))
    assert torch.equal(jitter(images), jitter(images.clone()))
    same = images[:1].expand(4, -1, -1, -1)
    assert float((jitter(same)[0] - jitter(same)[1]).abs().max()) > 0.05
    assert float(jitter.gain.min()) >= 0.8 and float(jitter.gain.max()) <= 1.2
    flat = jitter(torch.ones(4, 3, 16, 16))  # place does not change an even image
    assert torch.allclose(flat, (jitter.gain + jitter.offset).expand_as(flat), atol=1e-5)


def test_the_predictor_reads_both_images():
    predictor = Predictor(3, 5)
    first, second = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    guess = predictor(first, second)
    assert guess.direction.shape == (2, 5) and guess.amount.shape == (2,)
    assert not torch.allclose(guess.direction, predictor(second, first).direction)


def test_dead_dimensions_stay_out_of_the_rotation():
    from trainer.navigation import RendererSpace

    codes = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    weight = torch.zeros(3, 3 * 64)
    weight[0, :64] = weight[2, 64:128] = 0.4
    space = RendererSpace(lambda z: (z @ weight).view(-1, 3, 8, 8), codes)
    assert sorted(active_dimensions(space, 0).dimensions.tolist()) == [0, 2]
    found = find(space, learned(1, angle_rate=0.1))
    assert found.vectors.shape == (2, 3) and bool((found.vectors[:, 1] == 0).all())


def test_a_faint_factor_is_no_dead_dimension():
    """As age on drawn heads: a hundredth of the strongest effect, where dead ones have .0005."""
    from trainer.navigation import RendererSpace

    codes = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    weight = torch.diag(torch.tensor([0.4, 0.004, 0.0002])).repeat_interleave(64, dim=1)
    space = RendererSpace(lambda z: (z @ weight).view(-1, 3, 8, 8), codes)
    assert active_dimensions(space, 0).dimensions.tolist() == [0, 1]
