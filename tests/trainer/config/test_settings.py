"""Settings from presets, files and the command line: strict, with the nearest key named."""

import pytest

from trainer.config.settings import (
    LoopConfig,
    TrainConfig,
    load_preset,
    parse_setting,
    parse_settings,
)


def test_settings_by_dotted_key():
    config = load_preset("tiny32").with_values(
        {"loop.capacity_course": "fixed", "model.decoder.conditioner": "adagn", "steps": 7}
    )
    assert config.loop.capacity_course == "fixed" and config.steps == 7
    assert config.model.decoder.conditioner == "adagn"
    assert config.model.decoder.channel_mults == load_preset("tiny32").model.decoder.channel_mults


def test_of_a_table_only_what_is_given_changes():
    preset = load_preset("cpu64")
    assert preset.loop != LoopConfig(copilot_updates=4)
    texts = ["loop={copilot_updates=4}", "loop = {code_dropout = 0.2}", "model.encoder={}"]
    config = preset.with_values(parse_settings(texts))
    changed = {"loop.copilot_updates": 4, "loop.code_dropout": 0.2}
    assert config == preset.with_values(changed) != preset
    with pytest.raises(ValueError, match="Did you mean 'loop.copilot_updates'"):
        preset.with_values(parse_settings(["loop={copilot_update=4}"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loop.capacity_course=fixed", ("loop.capacity_course", "fixed")),
        ("steps=5", ("steps", 5)),
        ("flip = true", ("flip", True)),
        ("learning_rate=1e-4", ("learning_rate", 1e-4)),
        ("model.decoder.attention_sizes=[16, 8]", ("model.decoder.attention_sizes", [16, 8])),
        ("objective.name=dip_ii", ("objective.name", "dip_ii")),
        # as it comes from a shell, with quotes and without
        ('feedback.parts=["gradient"]', ("feedback.parts", ["gradient"])),
        ("feedback.parts=[gradient, x_y]", ("feedback.parts", ["gradient", "x_y"])),
        ("feedback.parts=[]", ("feedback.parts", [])),
    ],
)
def test_parse_setting(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps", "is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("steps=[1,", "cannot be read"),
        ("feedback.parts=[gradient,]", "cannot be read"),
        ("feedback.parts=gradient", "Give a list of words"),
        ("feedback=gradient", "has settings of its own. Give those, such as feedback.parts."),
        ("model.encoder=3", "Give those, such as encoder."),
        ("loop=3", "loop in the training configuration is 3, but it has settings of its own"),
        ("feedback.parts=[gradiant]", "Use any of gradient, per_dimension"),
        ("loop.capacity_cours=ramp", "Did you mean 'loop.capacity_course'?"),
        ("capacity_cours=fixed", "Did you mean 'loop.capacity_course'?"),
        ("lop.capacity_course=fixed", "Did you mean 'loop.capacity_course'?"),
        ("steps.x=1", "Did you mean 'steps'?"),
        ("steps=many", "steps in the training configuration is 'many'. Give a whole number."),
        ("steps=1.5", "Give a whole number"),
        ("flip=1", "Give true or false"),
        ("model.decoder.channel_mults=[1, 2.5]", "Give a list of whole numbers"),
        ("loop.bottleneck=none", "Use one of controller, distance, constant"),
        ("precision=fp64", "precision is 'fp64'. Use one of fp32, bf16"),
        ("decay_fraction=1.5", "decay_fraction is 1.5. Use a value in [0, 1]"),
        ("decay_fraction=nan", "decay_fraction is nan. Use a value in [0, 1]"),
        ("learning_rate=inf", "learning_rate is inf. Use a finite number"),
        ("loop.capacity_maximum=inf", "loop.capacity_maximum is inf. Use a finite number"),
        ("loop.kl_weight=inf", "loop.kl_weight is inf. Use a finite number"),
        ("loop.distance_weight=inf", "loop.distance_weight is inf. Use a finite number"),
        ("loop.distillation_weight=inf", "loop.distillation_weight is inf. Use a finite number"),
        ("feedback.gain=inf", "feedback.gain is inf. Use a finite number"),
        ("feedback.gain=nan", "feedback.gain is nan. Use a positive number"),
        ("feedback.largest_weight=inf", "feedback.largest_weight is inf. Use a finite number"),
        ("weight_decay=inf", "weight_decay is inf. Use a finite number"),
        ("clip_norm=inf", "clip_norm is inf. Use a positive number, or 0 for no clipping"),
        ("clip_norm=nan", "clip_norm is nan. Use a positive number, or 0 for no clipping"),
        ("clip_norm=-1", "clip_norm is -1.0. Use a positive number, or 0 for no clipping"),
        ("copilot_learning_rate=nan", "copilot_learning_rate is nan. Use a positive number"),
        ("weight_decay=-0.1", "weight_decay is -0.1. Use 0 or a positive number"),
        ("resize=zoom", "Use one of crop, pad, stretch"),
        ("seed=-1", "seed is -1. Use 0 or more."),
        ("seed=18446744073709551616", "seed is 18446744073709551616. Use less than 2**64"),
        ("accumulation_steps=3", "not divisible by accumulation_steps 3"),
        ("loop.skip_dropout=1.0", "Use a value in [0, 1)"),
        ("loop.distillation_gradient_share=2", "Use a value in [0, 1]"),
        ("objective.name=gamma", "objective.name"),
    ],
)
def test_wrong_settings_are_sentences(text, words):
    with pytest.raises(ValueError) as caught:
        key, value = parse_setting(text)
        load_preset("tiny32").with_values({key: value})
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["mine.toml", "MINE.TOML"])
def test_a_file_of_a_windows_editor(tmp_path, name):
    """With a byte-order mark, Windows line ends and perhaps a name in capitals."""
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbfsteps = 7\r\n[loop]\r\ncapacity_course = 'fixed'\r\n")
    config = load_preset(str(path))
    assert (config.steps, config.loop.capacity_course) == (7, "fixed")
    path.write_bytes("steps = 8\r\n".encode("utf-16"))  # PowerShell: a dry run > mine.toml
    assert load_preset(path).steps == 8
    path.write_bytes(b"steps = 7  # Stra\xdfe")
    with pytest.raises(ValueError, match=f"{name} is not valid TOML: .* Correct it."):
        load_preset(str(path))


def test_whole_numbers_stand_for_numbers():
    assert TrainConfig.from_dict({"learning_rate": 1}).learning_rate == 1.0


def test_copilot_only_never_leaves_its_warm_up():
    config = TrainConfig(loop=LoopConfig(copilot_only=True), steps=100)
    assert config.copilot_warmup_steps == 100
