"""The finder that tries several and keeps the best."""

import pytest
import torch

from comfyui_cldis.tracking import STAGES
from trainer.navigation import Basis, NavigationSettings, RendererSpace, Watch, find
from trainer.navigation.auto import CANDIDATES, HELD_OUT, best_of, describe_choice, held_out
from trainer.navigation.joint import BASE_ITEMS

AUTO = NavigationSettings(finder="auto")


def test_the_best_by_content_tracking_is_kept_and_all_scores_are_told(
    mixed_space, factor_rows, agreement
):
    space = mixed_space(40.0, "gaussian")  # where independence says nothing and axes are mixed
    steps: list[tuple[int, int]] = []

    def on_step(done: int, total: int, figures: dict[str, float]) -> None:
        steps.append((done, total))

    with pytest.warns(UserWarning, match="FastICA did not converge"):
        found = find(space, AUTO, seed=1, watch=Watch(on_step))
    scores = found.facts["separation"]
    assert tuple(scores) == CANDIDATES == ("axes", "ica", "joint")
    assert found.finder == "auto" and found.facts["chosen"] == max(scores, key=scores.__getitem__)
    assert found.facts["chosen"] == "joint" and scores["joint"] > scores["axes"] + 0.1
    joint = find(space, NavigationSettings(finder="joint"), seed=1)
    assert torch.equal(found.vectors, joint.vectors)
    assert found.facts["effects_left"] == joint.facts["effects_left"]
    assert agreement(found.vectors, factor_rows(40.0)) > 0.98
    total = 3 * len(STAGES)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (total, total)


def test_axes_stay_where_they_are_the_factors(mixed_space):
    found = find(mixed_space(0.0), AUTO)
    assert float(found.vectors.abs().amax(1).min()) > 0.99


def test_a_stop_is_obeyed(mixed_space):
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) == 4

    with pytest.raises(KeyboardInterrupt):
        find(mixed_space(40.0), AUTO, watch=Watch(should_stop=should_stop))
    assert len(asked) == 4


@pytest.mark.filterwarnings("ignore:FastICA did not converge")
def test_candidates_that_cannot_be_used_are_left_out_with_their_reason(mixed_space):
    few = mixed_space(40.0, count=38)  # four dimensions: 40 are needed for a covariance
    found = find(few, AUTO)
    assert found.facts["chosen"] == "axes" and list(found.facts["separation"]) == ["axes"]
    assert list(found.facts["left_out"]) == ["ica", "joint"]
    assert "got 38 images for 4 dimensions" in found.facts["left_out"]["ica"]
    none = find(mixed_space(40.0, count=20), AUTO)
    assert none.facts["separation"] == {} and none.facts["chosen"] == "axes"
    first, *others = describe_choice(none)
    assert first == "The finder auto chose axes." and len(others) == 3
    assert "axes: The finder 'auto' got 20 images" in others[0]
    dead = RendererSpace(lambda codes: torch.zeros(len(codes), 3, 16, 16), torch.randn(50, 4))
    with pytest.raises(ValueError, match="No dimension of the code changes the image"):
        find(dead, AUTO)


@pytest.mark.filterwarnings("ignore:FastICA did not converge")
def test_a_seed_of_64_bits_is_compared_with_and_another_is_refused(mixed_space):
    found = find(mixed_space(40.0), AUTO, seed=2**64 - 1)
    assert tuple(found.facts["separation"]) == CANDIDATES and found.facts["left_out"] == {}
    with pytest.raises(ValueError, match="The seed is 18446744073709551616. Use 0 to"):
        find(mixed_space(40.0), AUTO, seed=2**64)


def test_nothing_is_sought_that_could_not_be_compared(mixed_space):
    sought: list[str] = []

    def find_one(settings: NavigationSettings, watch: Watch) -> Basis:
        sought.append(settings.finder)
        return Basis(settings.finder, torch.eye(4))

    found = best_of(mixed_space(40.0, count=35), AUTO, 0, Watch(), find_one)
    assert sought == ["axes"] and found.facts["chosen"] == "axes"
    assert list(found.facts["left_out"]) == list(CANDIDATES)
    assert len(set(found.facts["left_out"].values())) == 1


@pytest.mark.parametrize("finder", ["pca", "varimax", "ica", "sparse", "joint", "auto"])
def test_a_code_of_one_dimension_has_one_direction(finder):
    codes = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    stripes = torch.arange(16.0).sin().expand(3, 16, 16)
    space = RendererSpace(lambda codes: torch.tanh(codes[:, :, None, None] * stripes), codes)
    found = find(space, NavigationSettings(finder=finder))
    assert found.vectors.tolist() == [[1.0]]


def test_the_choice_is_told_in_a_sentence():
    facts = {"chosen": "joint", "separation": {"axes": 0.3, "joint": 0.4567}, "left_out": {}}
    assert describe_choice(Basis("auto", torch.eye(2), facts)) == [
        "The finder auto chose joint; content tracking on held-out images gives axes 0.300, "
        "joint 0.457."
    ]
    assert describe_choice(Basis("axes", torch.eye(2))) == []


def test_images_are_held_out():
    for count in (BASE_ITEMS + HELD_OUT, 100, 1024):
        items = held_out(count)
        assert len(set(items.tolist())) == HELD_OUT and int(items.max()) < count
    with pytest.raises(ValueError, match="got 35 images, .* Give at least 36"):
        held_out(35)
