"""Each rule on records made for it, and silence on healthy ones and on a real run."""

import copy
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import DirectionQuality, ModelFacts, ModelQuality
from trainer.config.settings import load_preset, preset_names
from trainer.data import DataReport
from trainer.data.split import FEW
from trainer.monitor.metrics_file import read_records
from trainer.report import diagnosis as rules
from trainer.report.checks import check_settings
from trainer.report.history import final_dimensions, last_change
from trainer.training.record import TrainingRecord
from trainer.training.step import evenly_chosen

STEPS, WARMUP = 1000, 200
LN_24 = 3.17805  # of groups of 4 and 6 classes: ln 4 + ln 6
REAL_RUN = Path(__file__).parents[3] / "docs" / "heads64_stats.jsonl"
CONFIG = {
    "steps": STEPS,
    "clip_norm": 1.0,
    "model": {"in_channels": 3, "latent_dim": 10, "copilot": {"image_size": 32}},
    "loop": {
        "capacity_course": "ramp",
        "capacity_minimum": 2.0,
        "capacity_maximum": 26.0,
        "ramp_fraction": 0.5,
        "distillation_weight": 0.05,
        "copilot_warmup_steps": WARMUP,
        "control_every_steps": 10,
    },
}


def healthy(steps: int = STEPS, every: int = 10) -> list[dict]:
    """A run without findings: C well inside its limits, everything else constant but for noise."""
    rng = np.random.default_rng(0)
    records = []
    for step in range(every, steps + 1, every):
        is_joint = step > WARMUP
        noise = float(rng.uniform(-0.02, 0.02))
        capacity = 8.0
        records.append(
            {
                "step": step,
                "images": 32 * step,
                "seconds": 0.5 * step,
                "diffusion": 0.05 * (1 + noise) if is_joint else 0.0,
                "distillation": 0.06 if is_joint else 0.0,
                "reconstruction": 1000.0 + 100 * noise,
                "kl": capacity * (1 + noise),
                "encoder_kl": capacity * (1 - noise),
                "kl_per_dimension": [1.6] * 5 + [0.001] * 5,
                "gradient_norm": 0.2 if is_joint else 0.0,
                "capacity": capacity,
                "kl_weight": 300.0,
                "used": 0.94 if is_joint else None,
            }
        )
    return records


def diagnose(rows, config, facts=None, data=None):
    """The findings of records, which may be given as in stats.jsonl."""
    records = [TrainingRecord.from_json(each) if type(each) is dict else each for each in rows]
    return rules.diagnose(records, config, facts, data)


def with_loop(**values) -> dict:
    config = copy.deepcopy(CONFIG)
    config["loop"].update(values)
    return config


def changed(**values) -> list[dict]:
    """Healthy records with values replaced after the warm-up; a callable gets step / STEPS."""
    records = healthy()
    for record in records:
        if record["step"] > WARMUP:
            for key, value in values.items():
                record[key] = value(record["step"] / STEPS) if callable(value) else value
    return records


def found(records, config=CONFIG) -> dict[str, tuple[str, str]]:
    return {item.rule: (item.severity, item.text) for item in diagnose(records, config)}


def test_a_healthy_run_has_no_findings():
    assert diagnose(healthy(), CONFIG) == []
    assert diagnose(healthy(), None) == []


def test_the_findings_of_the_runs_of_the_demo():
    """In the third edition the distillation is the larger part of the gradient that is cut."""
    config = load_preset("heads64").to_dict()
    learning = {"diffusion_falling", "copilot_better"}
    assert found(read_records(REAL_RUN), config).keys() == learning
    third = REAL_RUN.with_name("heads64_third_stats.jsonl")
    assert found(read_records(third), config).keys() == {"clipped", *learning}


def test_no_records():
    assert found([]) == {
        "no_records": ("note", "There are no statistics yet. Train for some steps.")
    }


def dimensions(used: int) -> list[float]:
    return [rules.USED_DIMENSION + 0.01] * used + [rules.USED_DIMENSION - 0.01] * (10 - used)


def test_few_used_dimensions_are_counted_at_the_threshold():
    severity, text = found(changed(kl_per_dimension=dimensions(2)))["few_dimensions"]
    assert severity == "warning" and "uses 2 of 10 dimensions" in text
    assert "Train longer, or raise loop.capacity_maximum" in text
    assert "few_dimensions" not in found(changed(kl_per_dimension=dimensions(3)))
    text = found(changed(kl_per_dimension=dimensions(0)))["few_dimensions"][1]
    assert "none of its 10" in text
    few = changed(kl_per_dimension=dimensions(2), capacity=26.0, kl=26.0)
    assert "Raise loop.capacity_maximum (now 26 nats)" in found(few)["few_dimensions"][1]


def test_the_remedy_for_few_dimensions_fits_the_bottleneck():
    text = found(changed(kl_per_dimension=dimensions(1)), with_loop(bottleneck="constant"))
    assert "Lower loop.kl_weight" in text["few_dimensions"][1]


def test_all_dimensions_in_use_is_a_note():
    full = changed(kl_per_dimension=[0.5] * 10)
    severity, text = found(full)["all_dimensions"]
    assert severity == "note" and "all of its 10" in text and "model.latent_dim" in text
    # the "KL" of this objective is the entropy of the values in use, which it means to be high
    assert found(full, {**CONFIG, "objective": {"name": "qlae"}}) == {}


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ({}, "lower loop.capacity_maximum."),
        ({"loop": {"bottleneck": "constant"}}, "raise loop.kl_weight."),
        ({"objective": {"name": "qlae"}}, "lower model.latent_dim or objective.num_values in a"),
    ],
)
def test_a_run_without_a_capacity_gets_no_remedy_that_changes_it(config, remedy):
    # KL far from C, C at its minimum and fallen: of no meaning where C plays no part
    records = changed(
        used=0.1,
        capacity=lambda at: 2.0 if at > 0.8 else 8.0,
        kl=20.0,
        encoder_kl=50.0,
        reconstruction=lambda at: 1500.0 if at > 0.8 else 1000.0,
    )
    findings = found(
        records, {**CONFIG, **config, "loop": {**CONFIG["loop"], **config.get("loop", {})}}
    )
    has_capacity = not config
    assert remedy in findings["used_low"][1]
    assert ("capacity_not_followed" in findings) is has_capacity
    assert ("in which C fell" in findings["copilot_worse"][1]) is has_capacity
    held = "is held at 2." if has_capacity else "stores 20."
    assert f"co-pilot {held}" in findings["encoder_explodes"][1]
    assert any("capacity" in text for _, text in findings.values()) is has_capacity


@pytest.mark.parametrize(
    ("kl", "weight", "fact", "remedy"),
    [
        (16.0, 2000.0, "kl_weight is at its limit of 2000", "model.copilot.image_size"),
        (16.0, 300.0, "stores 16.0 nats per image although C allows 8.0", "lower copilot_learn"),
        (3.0, 0.05, "kl_weight is at its lowest, 0.05", "Lower loop.capacity_maximum"),
        (3.0, 5.0, "stores only 3.0 nats per image of the 8.0", "raise copilot_learning_rate"),
    ],
)
def test_kl_that_does_not_follow_capacity(kl, weight, fact, remedy):
    severity, text = found(changed(kl=kl, kl_weight=weight))["capacity_not_followed"]
    assert severity == "warning" and fact in text and remedy in text


def test_kl_within_the_tolerance_follows_capacity():
    # 8 nats: the tolerance is max(1, 0.2 * 8) = 1.6 nats
    assert "capacity_not_followed" not in found(changed(kl=9.5))
    assert "capacity_not_followed" in found(changed(kl=9.7))
    assert "capacity_not_followed" not in found(changed(kl=16.0), with_loop(bottleneck="constant"))
    # the weight of another bottleneck has no limits of the controller
    text = found(changed(kl=16.0, kl_weight=2000.0), with_loop(bottleneck="distance"))
    assert "limit" not in text["capacity_not_followed"][1]


def test_used_must_be_low_for_long():
    severity, text = found(changed(used=0.29))["used_low"]
    assert severity == "warning" and "at most 29 %" in text
    assert "used_low" not in found(changed(used=0.31))
    # the second half of the joint phase starts at progress .6: low until .75 is not for long
    assert "used_low" not in found(changed(used=lambda p: 0.1 if p < 0.75 else 0.9))
    assert "used_low" in found(changed(used=lambda p: 0.1 if p < 0.85 else 0.9))


def test_use_that_was_never_measured_is_not_evaluated():
    assert found(changed(used=None)) == {}


def test_image_loss_still_falling_or_rising():
    # joint phase .2 to 1: the last two quarters have their middles at .7 and .9
    severity, text = found(changed(diffusion=lambda p: 0.1 * math.exp(-p)))["diffusion_falling"]
    assert severity == "note" and "fell by 18 %" in text  # 1 - exp(-.2)
    severity, text = found(changed(diffusion=lambda p: 0.1 * math.exp(p)))["diffusion_rising"]
    assert severity == "warning" and "rose by 22 %" in text  # exp(.2) - 1
    assert found(changed(diffusion=lambda p: 0.1 * math.exp(-0.2 * p))) == {}


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("diffusion_falling", -0.31, -0.2),  # exp(.2 * rate) - 1: -6.0 and -3.9 %
        ("diffusion_rising", 0.29, 0.19),  # 6.0 and 3.9 %
    ],
)
def test_thresholds_of_the_image_loss(rule, inside, outside):
    assert rule in found(changed(diffusion=lambda p: math.exp(inside * p)))
    assert rule not in found(changed(diffusion=lambda p: math.exp(outside * p)))


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("copilot_better", -1790, -1449),  # exp(.2 * slope / 3072): -11.0 and -9.0 %
        ("copilot_worse", 895, 602),  # 6.0 and 4.0 %
    ],
)
def test_thresholds_of_the_copilot_error(rule, inside, outside):
    assert rule in found(changed(reconstruction=lambda p: inside * p))
    assert rule not in found(changed(reconstruction=lambda p: outside * p))


@pytest.mark.parametrize(("rate", "is_named"), [(0.31, True), (0.2, False)])  # 6.0 and 3.9 %
def test_a_fall_of_capacity_explains_a_worse_copilot(rate, is_named):
    records = changed(
        reconstruction=lambda p: 3200.0 * p, capacity=lambda p: 9 * math.exp(-rate * p)
    )
    assert ("C fell" in found(records)["copilot_worse"][1]) == is_named


def test_tolerance_of_the_limit():
    for weight, is_limit in ((1985.0, True), (1975.0, False)):
        text = found(changed(kl=16.0, kl_weight=weight))["capacity_not_followed"][1]
        assert ("at its limit" in text) == is_limit


def test_a_change_within_the_noise_is_no_finding():
    rng = np.random.default_rng(1)
    for _ in range(20):
        noisy = changed(diffusion=lambda p: 0.05 * float(rng.lognormal(0, 1.5)))
        change = last_change(np.array([r["diffusion"] for r in noisy if r["diffusion"]]))
        assert change is not None
        if not change.is_significant:
            assert not {"diffusion_falling", "diffusion_rising"} & found(noisy).keys()
            break
    else:
        pytest.fail("no draw without a significant change")


def test_last_change_by_hand():
    # quarters of 3: before (4, 5, 6), after (1, 2, 3); each has variance 1, so the standard
    # error is sqrt(2 / 3) = .816 and the difference of -3 is 3.7 of them
    change = last_change(np.array([9, 9, 9, 9, 9, 9, 4, 5, 6, 1, 2, 3.0]))
    assert change == (5.0, 2.0, True)
    assert last_change(np.arange(11.0)) is None


def test_copilot_error_in_pixels():
    # D = 3 * 32 * 32 = 3072: a change of -640 nats per .2 of progress is exp(-640 / 3072) = .81
    falls = changed(reconstruction=lambda p: -3200.0 * p)
    severity, text = found(falls)["copilot_better"]
    assert severity == "note" and "fell by 19 %" in text
    severity, text = found(changed(reconstruction=lambda p: 3200.0 * p))["copilot_worse"]
    assert severity == "warning" and "grew by 23 %" in text and "copilot_learning_rate" in text
    falling = changed(reconstruction=lambda p: 3200.0 * p, capacity=lambda p: 12 - 5 * p)
    text = found(falling)["copilot_worse"][1]
    assert "C fell from 8.5 to 7.5 nats" in text and "capacity_minimum" in text
    assert "copilot_better" not in found(falls, None)  # without a configuration D is not known


def test_gradient_clipped_nearly_always():
    severity, text = found(changed(gradient_norm=1.5))["clipped"]
    assert severity == "warning" and "In 100 %" in text and "clip_norm (1)" in text
    assert "clipped" not in found(changed(gradient_norm=0.99))
    for none in (0.0, math.inf):  # the second was allowed once
        assert "clipped" not in found(changed(gradient_norm=1.5), {**CONFIG, "clip_norm": none})
    assert "clipped" not in found(changed(gradient_norm=lambda p: 1.5 if p < 0.9 else 0.9))


def test_encoder_that_stores_far_more_than_the_copilot():
    severity, text = found(changed(encoder_kl=16.5))["encoder_explodes"]
    assert severity == "warning" and "distillation_weight" in text
    assert "encoder_explodes" not in found(changed(encoder_kl=15.5))
    free = with_loop(distillation_weight=0.0)
    assert "encoder_explodes" not in found(changed(encoder_kl=500.0), free)
    constant = with_loop(bottleneck="constant")
    held = changed(encoder_kl=20.0, kl=15.0)
    assert "encoder_explodes" in found(held) and "encoder_explodes" not in found(held, constant)


def test_run_shorter_than_its_warmup():
    short = with_loop(copilot_warmup_steps=1000)
    severity, text = found(healthy(), short)["short_run"]
    assert severity == "warning" and "shorter than the 1,000 steps" in text
    assert "at least 4000 steps" in text
    text = found(healthy(), with_loop(copilot_warmup_steps=251))["short_run"][1]
    assert "short for the 251 steps" in text
    assert "short_run" not in found(healthy(), with_loop(copilot_warmup_steps=250))
    records = [{**each, "planned_steps": 600} for each in healthy()]  # it got more steps later
    severity, text = found(records, with_loop(copilot_warmup_steps=200))["short_run"]
    assert severity == "warning" and text.startswith("The run, planned for 600 steps, is short for")
    assert "Use at least 800 steps in a new run, or lower" in text
    assert "short_run" not in found(records, with_loop(copilot_warmup_steps=150))
    alone = with_loop(copilot_warmup_steps=1000, copilot_only=True)
    assert "short_run" not in found(healthy(), alone)


def test_an_unfinished_run_is_noted_and_gets_no_advice_to_train_longer():
    records = changed(diffusion=lambda p: 0.1 * math.exp(-p))
    longer = {**CONFIG, "steps": 5000}
    names = found(records, longer)
    assert "step 1,000 of 5,000" in names["unfinished"][1]
    assert "diffusion_falling" not in names and "diffusion_falling" in found(records)


def test_one_record_is_counted_in_the_singular():
    text = found([{"step": 1, "diffusion": 0.1}], {})["too_few_records"][1]
    assert text.startswith("The run has only 1 record after the co-pilot's warm-up, too few")


def test_too_few_records_give_that_note_alone():
    bad = changed(used=0.1, gradient_norm=9.0, encoder_kl=900.0, kl_per_dimension=[0.0] * 10)
    upto = [record for record in bad if record["step"] <= WARMUP + 110]
    assert found(upto).keys() == {"too_few_records", "unfinished"}
    assert "only 11 records" in found(upto)["too_few_records"][1]
    assert found(upto[:15]).keys() == {"warmup_only", "unfinished"}


def test_a_run_of_the_copilot_alone_is_evaluated_by_its_copilot():
    records = healthy()
    for record in records:
        record.update(diffusion=0.0, kl_per_dimension=[0.0] * 10)
    assert found(records, with_loop(copilot_only=True)).keys() == {"few_dimensions"}


@pytest.mark.parametrize(
    "junk", [None, float("nan"), float("inf"), "text", [], {}, True, [None], ["a", 1], [1.0, None]]
)
def test_missing_and_foreign_values_do_not_break_a_rule(junk):
    records = healthy()
    for index, record in enumerate(records):
        for key in list(record):
            if key != "step" and index % 2:
                record[key] = junk
    assert isinstance(diagnose(records, CONFIG), list)
    only_junk = [{key: junk for key in r} | {"step": r["step"], "new": junk} for r in records]
    assert isinstance(diagnose(only_junk, CONFIG), list)
    assert isinstance(
        diagnose([TrainingRecord(1)], {"loop": junk, "model": junk, "steps": junk}), list
    )


def test_dimensions_of_the_last_tenth_are_averaged():
    records = [TrainingRecord(i, kl_per_dimension=(float(i), 1.0)) for i in range(1, 21)]
    assert final_dimensions(records).tolist() == [19.5, 1.0]  # type: ignore[union-attr]
    assert final_dimensions([*records, TrainingRecord(30)]).tolist() == [19.5, 1.0]  # type: ignore[union-attr]
    assert final_dimensions([TrainingRecord(1)]) is None


def test_warnings_come_first_and_each_has_a_remedy():
    records = changed(
        diffusion=lambda p: 0.1 * math.exp(-p), gradient_norm=3.0, kl_per_dimension=[0.5] * 10
    )
    items = diagnose(records, CONFIG)
    assert [item.severity for item in items] == ["warning", "note", "note"]
    for item in items:
        assert item.text.count(". ") >= 1 and item.text.endswith(".")
    assert json.dumps([item.text for item in items])


@pytest.mark.parametrize(
    ("low", "granted", "words"),
    [
        (2.0, None, "may store 3.18 nats"),
        (2.0, 9.0, "may store 3.18 nats"),  # cut off at ln 4 + ln 6
        (2.0, 2.0, "may store 2.00 nats"),
        (2.0, 1.99, None),
        (LN_24 + 0.01, None, None),
    ],
)
def test_discrete_groups_must_leave_something_of_the_capacity(low, granted, words):
    config = copy.deepcopy(CONFIG)
    config["loop"]["capacity_minimum"] = low
    config["objective"] = {
        "name": "joint",
        "discrete_sizes": [4, 6],
        "discrete_capacity": granted,
    }
    found = [each for each in diagnose(healthy(), config) if each.rule == "joint_capacity"]
    assert [each.severity for each in found] == ["warning"] * (words is not None)
    assert words is None or words in found[0].text
    config["objective"]["name"] = "plain"
    assert not [each for each in diagnose(healthy(), config) if each.rule == "joint_capacity"]


@pytest.mark.parametrize(
    ("highest", "latents", "words"),
    [
        (500.0, 20, "20 latents never hold more than about 8 each, 160 together"),
        (160.1, 20, "Set it to 20 to 40"),
        (160.0, 20, None),
        (25.0, 20, None),
    ],
)
def test_a_capacity_beyond_what_the_latents_hold(highest, latents, words):
    config = with_loop(capacity_maximum=highest)
    config["model"]["latent_dim"] = latents
    texts = [each.text for each in check_settings(config)]
    assert len(texts) == (words is not None)
    assert words is None or words in texts[0]
    assert ("capacity_out_of_reach" in found(healthy(), config)) is (words is not None)
    config["loop"]["bottleneck"] = "constant"
    assert check_settings(config) == []


@pytest.mark.parametrize(
    ("parts", "share", "batch", "is_heard"),
    [
        (["gradient"], 0.5, 1, False),
        (["second_decoder"], 0.2, 4, False),
        (["second_unet"], 0.2, 4, False),
        (["gradient"], 0.5, 2, True),
        (["gradient"], 1.0, 1, True),
        (["per_dimension"], 0.5, 1, True),  # takes no share
        ([], 0.5, 1, True),
    ],
)
def test_a_share_of_less_than_one_image(parts, share, batch, is_heard):
    if {"gradient", "second_decoder", "second_unet"} & {*parts}:
        assert bool(evenly_chosen(batch, share).any()) is is_heard
    config = with_loop() | {"feedback": {"parts": parts, "share": share}, "batch_size": batch}
    texts = [each.text for each in check_settings(config)]
    assert len(texts) == (not is_heard)
    assert is_heard or f"less than one image of batch_size {batch}" in texts[0]
    assert ("feedback_unheard" in found(healthy(), config)) is not is_heard
    config["loop"]["copilot_only"] = True
    assert check_settings(config) == []


@pytest.mark.parametrize(
    ("parts", "decoded", "rule"),
    [
        (["gradient"], 1, "feedback_unheard"),
        (["second_decoder"], 1, None),  # hears a decoder of its own, on the whole batch
        (["gradient"], 2, None),
        (["gradient"], 0, "nothing_decoded"),
        (["per_dimension"], 0, "nothing_decoded"),
        (["second_decoder"], 0, None),
        ([], 0, None),
    ],
)
def test_an_adaptation_whose_decoder_is_not_heard(parts, decoded, rule):
    config = with_loop() | {"feedback": {"parts": parts, "share": 0.5}, "batch_size": 32}
    config["adapt"] = {"diffusion_items": decoded}
    findings = check_settings(config)
    assert [each.rule for each in findings] == ([rule] if rule else [])
    assert rule != "feedback_unheard" or "of adapt.diffusion_items 1," in findings[0].text
    assert (rule in found(healthy(), config)) is (rule is not None)
    if "gradient" in parts and decoded:
        assert bool(evenly_chosen(32, 0.5)[:decoded].any()) is (rule is None)


def test_no_preset_asks_for_more_than_its_latents_hold():
    for name in preset_names():
        config = load_preset(name)
        assert check_settings(config.to_dict()) == []
        assert 0.9 <= config.loop.capacity_maximum / config.model.latent_dim <= 2


@pytest.mark.parametrize(
    ("explained", "directions", "words"),
    [
        (0.21, 1, None),
        (
            0.2,
            1,
            "explains only 20 % of what differs between the images, so the "
            "one direction found is no slider yet. Train longer.",
        ),
        (
            -0.3,
            3,
            "explains nothing of what differs between the images, so the "
            "3 directions found are no sliders yet.",
        ),
        (0.0, 0, "explains nothing of what differs between the images, so there are no sliders"),
        (0.5, 0, "no latent changes them visibly, so there are no sliders"),
        (None, 1, None),
    ],
)
def test_sliders_of_a_model_that_does_not_follow_its_code(explained, directions, words):
    model = SimpleNamespace(
        directions=tuple(Direction(str(index), (1.0,), -1, 1) for index in range(directions)),
        facts=ModelFacts(quality=ModelQuality(explained_variance_random_noise=explained)),
    )
    first = [each for each in diagnose(healthy(), CONFIG, model) if each.rule == "weak_code"]
    assert [each.severity for each in first] == ["warning"] * (words is not None)
    assert words is None or words in first[0].text
    assert len([each for each in diagnose([], None, model)]) == 1 + len(first)


@pytest.mark.parametrize(("by_code", "is_weak"), [(0.6, False), (0.15, True), (None, True)])
def test_a_perfect_sampler_of_a_fair_code_is_not_held_against_it(by_code, is_weak):
    """One draw explains .2 where the code holds .6; files of before know of one draw alone."""
    quality = ModelQuality(explained_variance_code=by_code, explained_variance_random_noise=0.2)
    slider = Direction("a", (1.0,), -1, 1, quality=DirectionQuality(monotone=1.0))
    model = SimpleNamespace(directions=(slider,), facts=ModelFacts(quality=quality))
    assert [each.rule for each in diagnose(healthy(), CONFIG, model)] == ["weak_code"] * is_weak


@pytest.mark.parametrize(
    ("by_code", "drawn", "rules_found"),
    [
        (0.35, -0.29, ["nothing_drawn"]),
        (0.35, -0.001, ["nothing_drawn"]),
        (0.35, 0.0, []),
        (0.35, None, []),
        (0.1, -0.29, ["weak_code"]),  # says the same, and more
        (None, -0.29, ["weak_code"]),
    ],
)
def test_images_drawn_from_the_code_that_are_no_nearer_than_the_mean(by_code, drawn, rules_found):
    quality = ModelQuality(explained_variance_code=by_code, explained_variance_random_noise=drawn)
    slider = Direction("a", (1.0,), -1, 1, quality=DirectionQuality(monotone=1.0))
    model = SimpleNamespace(directions=(slider,), facts=ModelFacts(quality=quality))
    items = diagnose(healthy(), CONFIG, model)
    assert [(each.severity, each.rule) for each in items] == [("warning", r) for r in rules_found]
    if rules_found == ["nothing_drawn"]:
        assert items[0].text == (
            "One image drawn from the code explains nothing: the mean image of the training set "
            f"is nearer ({drawn:.2f}). Train longer, and give more images."
        )


def test_few_images_are_a_warning_unless_a_built_in_set_draws_them():
    def of(source, used):
        return diagnose(healthy(), CONFIG, data=DataReport(source, found=500, used=used))

    (item,) = of("faces", 40)
    assert (item.severity, item.rule) == ("warning", "few_images")
    assert item.text.startswith("40 images will be learned by heart")
    assert item.text.endswith("Give some hundreds of one kind, better 2,000.")
    assert of("faces", FEW - 1) and of("faces", FEW) == [] and of("heads", 40) == []
    rules_found = [each.rule for each in diagnose([], None, data=DataReport("faces", 40, 40))]
    assert rules_found == ["few_images", "no_records"]


EVEN, NOT_MONOTONE = 0.9, 0.89  # shares of the images, on both sides of the threshold


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((NOT_MONOTONE, 0.0), "monotone on 90 % of the images, so the 2 directions found are no"),
        ((NOT_MONOTONE, NOT_MONOTONE), "look for others with the trainer: cldis navigate"),
        ((EVEN, 0.0), None),
        ((NOT_MONOTONE, None), None),  # the second was not measured
        ((None, None), None),
    ],
)
def test_directions_none_of_which_is_monotone_are_no_sliders(shares, words):
    directions = tuple(
        Direction(str(index), (1.0,), -1, 1, quality=DirectionQuality(monotone=share))
        for index, share in enumerate(shares)
    )
    facts = ModelFacts(quality=ModelQuality(explained_variance_random_noise=0.6))
    model = SimpleNamespace(directions=directions, facts=facts)
    first = diagnose(healthy(), CONFIG, model)
    assert [each.rule for each in first] == ["no_monotone_direction"] * (words is not None)
    assert words is None or words in first[0].text
