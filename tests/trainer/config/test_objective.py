"""Configuration of the objectives: defaults, every refusal, round trip, building."""

import json
from dataclasses import asdict

import pytest

from comfyui_cldis.model.config import from_mapping
from trainer.config.objective import OBJECTIVES, OWNERS
from trainer.training.objectives import ObjectiveConfig, build_objective
from trainer.training.objectives.beta_tc import BetaTC
from trainer.training.objectives.dip import DIP
from trainer.training.objectives.factor import Factor
from trainer.training.objectives.joint import Joint
from trainer.training.objectives.plain import Plain
from trainer.training.objectives.qlae import QLAE
from trainer.training.objectives.vne import WithEntropy


def config(name: str, **values) -> ObjectiveConfig:
    if name == "joint":
        values.setdefault("discrete_sizes", (3,))
    return ObjectiveConfig(name, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "weight", "kind"),
    [
        ("plain", 0.0, Plain),
        ("beta_tc", 6.0, BetaTC),
        ("factor", 35.0, Factor),
        ("dip_i", 10.0, DIP),
        ("dip_ii", 10.0, DIP),
        ("joint", 30.0, Joint),
        ("qlae", 122.88, QLAE),
    ],
)
def test_default_weights_reach_the_objective(name, weight, kind):
    assert config(name).penalty_weight == pytest.approx(weight)
    objective = build_objective(config(name), 5, 100)
    assert isinstance(objective, kind)
    if name != "plain":
        assert objective.weight == pytest.approx(weight)
        assert build_objective(config(name, weight=2.5), 5, 100).weight == 2.5


def test_every_objective_is_covered_above():
    assert set(OBJECTIVES) == {"plain", "beta_tc", "factor", "dip_i", "dip_ii", "joint", "qlae"}


def test_settings_reach_the_objective():
    objective = build_objective(config("dip_i", weight=2.0), 5, 100)
    assert objective.diagonal_weight == 20.0 and objective.sampled is False
    objective = build_objective(config("dip_ii", weight=2.0), 5, 100)
    assert objective.diagonal_weight == 2.0 and objective.sampled is True
    assert build_objective(config("dip_ii", diagonal_factor=3.0), 5, 100).diagonal_weight == 30.0
    objective = build_objective(config("beta_tc", sampling="stratified"), 5, 77)
    assert objective.num_images == 77 and objective.sampling == "stratified"
    small = config("factor", discriminator_width=7, discriminator_layers=2)
    shapes = [tuple(p.shape) for p in build_objective(small, 5, 100).parameters()]
    assert shapes == [(7, 5), (7,), (7, 7), (7,), (1, 7), (1,)]
    objective = build_objective(config("joint", temperature=0.3, discrete_capacity=0.5), 5, 100)
    assert objective.temperature == 0.3 and objective.capacity == 0.5
    assert build_objective(config("qlae", num_values=4), 5, 100).values.shape == (5, 4)


def test_weight_decay_is_the_papers_for_qlae_only():
    for name in OBJECTIVES:
        expected = 0.1 if name == "qlae" else 0.0
        assert build_objective(config(name), 5, 100).copilot_weight_decay == expected
    assert build_objective(config("qlae", copilot_weight_decay=0.0), 5, 1).copilot_weight_decay == 0
    wrapped = build_objective(config("qlae", vne_weight=0.1), 5, 100)
    assert isinstance(wrapped, WithEntropy) and wrapped.copilot_weight_decay == 0.1
    assert wrapped.weight == 0.1 and isinstance(wrapped.objective, QLAE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "beta"}, "objective.name is 'beta'.*plain, beta_tc, factor"),
        ({"weight": 1.0}, "objective.weight is 1.0, which objective 'plain' does not use"),
        ({"discrete_sizes": (3,)}, "discrete_sizes is .*'plain' does not use.*objective joint"),
        ({"name": "factor", "num_values": 5}, "num_values is 5, .*'factor'.*choose objective qlae"),
        ({"name": "qlae", "diagonal_factor": 2.0}, "does not use.*dip_i or dip_ii"),
        ({"name": "qlae", "discrete_capacity": 2.0}, "does not use.*joint"),
        ({"name": "qlae", "temperature": 0.5}, "does not use.*joint"),
        ({"name": "dip_i", "sampling": "stratified"}, "does not use.*beta_tc"),
        ({"name": "dip_i", "discriminator_width": 8}, "does not use.*factor"),
        ({"name": "dip_i", "discriminator_layers": 8}, "does not use.*factor"),
        ({"name": "factor", "weight": 0.0}, "objective.weight is 0.0. Use a positive number"),
        ({"name": "factor", "weight": -1.0}, "objective.weight is -1.0"),
        ({"name": "factor", "weight": float("nan")}, "objective.weight is nan"),
        ({"name": "factor", "weight": float("inf")}, "objective.weight is inf"),
        ({"name": "factor", "weight": "6"}, "objective.weight is '6'"),
        ({"name": "factor", "weight": True}, "objective.weight is True"),
        ({"name": "beta_tc", "weight": 0.5}, "objective.weight is 0.5. Use 1 or more"),
        ({"name": "beta_tc", "sampling": "mss"}, "sampling is 'mss'. Use one of weighted, strat"),
        ({"name": "factor", "discriminator_width": 0}, "discriminator_width is 0. Use a whole"),
        ({"name": "factor", "discriminator_layers": 1.5}, "discriminator_layers is 1.5"),
        ({"name": "dip_i", "diagonal_factor": 0.0}, "diagonal_factor is 0.0"),
        ({"name": "joint"}, "discrete_sizes is empty"),
        ({"name": "joint", "discrete_sizes": (1,)}, r"discrete_sizes is \(1,\)"),
        ({"name": "joint", "discrete_sizes": (2.0,)}, r"discrete_sizes is \(2.0,\)"),
        ({"name": "joint", "discrete_sizes": 4}, "discrete_sizes is 4. Give a list"),
        (
            {"name": "joint", "discrete_sizes": (2,), "discrete_capacity": 0.0},
            "discrete_capacity is 0.0",
        ),
        ({"name": "joint", "discrete_sizes": (2,), "temperature": 0.0}, "temperature is 0.0"),
        ({"name": "joint", "discrete_sizes": (2,), "temperature": None}, "temperature is None"),
        ({"name": "qlae", "num_values": 1}, "num_values is 1. Use a whole number from 2"),
        ({"vne_weight": float("nan")}, "vne_weight is nan. Use a finite number"),
        ({"vne_weight": "much"}, "vne_weight is 'much'"),
        ({"interaction_weight": -0.1}, "interaction_weight is -0.1. Use 0 or more"),
        ({"interaction_weight": float("inf")}, "interaction_weight is inf. Use 0 or more"),
        (
            {"name": "joint", "discrete_sizes": (2,), "interaction_weight": 0.1},
            "interaction_weight is 0.1, .*'joint' does not use.*plain or beta_tc",
        ),
        ({"copilot_weight_decay": -0.1}, "copilot_weight_decay is -0.1. Use 0 or more"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ObjectiveConfig(**values)


def test_every_owned_setting_exists():
    assert set(OWNERS) < set(asdict(ObjectiveConfig()))


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"discrete_sizes \(4, 3\) needs 7 dimensions.* is 6"):
        build_objective(config("joint", discrete_sizes=(4, 3)), 6, 100)
    build_objective(config("joint", discrete_sizes=(3, 3)), 6, 100)
    with pytest.raises(ValueError, match="interaction_weight is set and latent_dim is 1. Use 2"):
        build_objective(config("plain", interaction_weight=0.1), 1, 100)
    with pytest.raises(ValueError, match="latent_dim is 0"):
        build_objective(config("plain"), 0, 100)
    with pytest.raises(ValueError, match="num_images is 0"):
        build_objective(config("plain"), 5, 0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_configuration_survives_json(name):
    before = config(name, vne_weight=-0.5)
    values = json.loads(json.dumps(asdict(before)))
    assert from_mapping(ObjectiveConfig, values, "the objective configuration") == before
    with pytest.raises(ValueError, match="Unknown key 'wieght'.*'weight'"):
        from_mapping(ObjectiveConfig, {"wieght": 1.0}, "the objective configuration")
