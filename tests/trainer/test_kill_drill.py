"""The kill drill of the benchmarks, with few kills."""

import pytest
import torch

from benchmarks.kill_drill import differences, drill


def test_differences_are_found():
    state = {"a": torch.zeros(2), "b": [1, {"c": 2.0}], "seconds": 3}
    assert not list(differences(state, {**state, "seconds": 9}))
    assert list(differences(state, {**state, "a": torch.tensor([0.0, 1e-45])})) == ["state.a"]
    assert list(differences(state, {**state, "b": [1, {"c": 2.5}]})) == ["state.b[1].c"]
    assert list(differences(state, {"a": state["a"], "b": state["b"], "more": 1})) == ["state.more"]
    assert list(differences(state, {**state, "a": torch.zeros(2).double()})) == ["state.a"]


@pytest.mark.slow
def test_a_killed_run_ends_like_one_never_stopped(tmp_path):
    assert drill(tmp_path, kills=3, steps=120, seed=1) == []
