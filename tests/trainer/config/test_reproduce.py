"""The recorded command: typed in again, it gives exactly the configuration it was made from."""

import shlex
from dataclasses import replace

import pytest

from trainer.__main__ import resolve
from trainer.arguments import parse
from trainer.config.reproduce import differences, training_command
from trainer.config.settings import TrainConfig, load_preset, preset_names


def typed_in(command: str):
    """What the command line makes of it: the arguments and the configuration."""
    program, *words = shlex.split(command)
    assert program == "cldis"
    arguments = parse(words)
    return arguments, resolve(arguments.preset, arguments.steps, arguments.seed, arguments.set)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_recorded_by_its_name(name):
    arguments, config = typed_in(training_command(load_preset(name), "heads"))
    assert config == load_preset(name)
    assert arguments.preset == name and not arguments.set


def test_a_configuration_of_a_file_is_recorded_in_full():
    config = load_preset("cpu64").with_values(
        {
            "steps": 123,
            "seed": 7,
            "loop.capacity_course": "fixed",
            "loop.code_dropout": 1e-05,
            "flip": True,
            "num_images": 500,
            "objective": {"name": "joint", "discrete_sizes": [10, 3]},
            "model.encoder.channel_mults": [1, 2, 2],
        }
    )
    command = training_command(config, "my images.zip", "mine.toml")
    arguments, again = typed_in(command)
    assert again == config
    assert arguments.data == "my images.zip" and arguments.preset == "cpu64"


def test_the_named_preset_is_kept_even_if_another_is_nearer():
    config = load_preset("cpu64")
    arguments, again = typed_in(training_command(config, "heads", "tiny32"))
    assert arguments.preset == "tiny32" and again == config


def test_only_what_differs_is_set():
    base = TrainConfig()
    assert differences(base, base) == []
    changed = replace(base, steps=5, flip=True, ema="power")
    assert differences(base, changed) == ["flip=true", "ema=power"]
