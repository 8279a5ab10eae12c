"""The commands of the trainer: which there are, what they take, and how others are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from comfyui_cldis.checkpoint import read_header
from trainer import __main__ as command
from trainer import arguments
from trainer.arguments import COMMANDS, parse
from trainer.config.settings import preset_names
from trainer.data import BUILT_IN_SOURCES
from trainer.navigation import FINDERS, STEPPED, NavigationSettings
from trainer.navigation.settings import View

ROOT = Path(__file__).resolve().parents[2]


def test_choices_are_those_of_the_modules() -> None:
    assert preset_names() == arguments.PRESETS
    assert set(arguments.SOURCES) == set(BUILT_IN_SOURCES)
    assert tuple(FINDERS) == arguments.FINDERS
    assert tuple(STEPPED) == arguments.STEPPED
    usual = NavigationSettings()
    assert (arguments.STEPS, arguments.VIEWS[0]) == (usual.steps, usual.view)
    assert set(arguments.VIEWS) == set(get_args(View))


def test_every_command_has_a_function() -> None:
    assert [*command.COMMANDS] == [*COMMANDS]


def test_training_is_the_default() -> None:
    words = ["--data", "heads", "--output", "run", "--steps", "3"]
    assert parse(words) == parse(["train", *words])
    assert parse(words).command == "train" and parse(words).output == Path("run")


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-h", "--help"):
        with pytest.raises(SystemExit) as end:
            command.main([flag])
        assert end.value.code == 0
        listed = [line.split()[:1] for line in capsys.readouterr().out.splitlines()]
        assert all([name] in listed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: cldis {name} " in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--data", "heads"], ["export"], ["train", "--colour"]])
def test_wrong_arguments_show_the_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(words)
    assert end.value.code == 2
    assert "usage: cldis " in capsys.readouterr().err


def test_arguments_are_read_without_torch() -> None:
    probe = "import sys, trainer.__main__ as m; m.parse(['sweep', 'x', '--output', 'y']); " + (
        "print(*{'torch', 'numpy', 'diffusers'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_card(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["card", str(tiny_checkpoint)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Model card: ") and text.endswith("|\n")
    assert all(each.name in text for each in read_header(tiny_checkpoint).directions)
    assert command.main(["card", "gone.safetensors"]) == 2
    assert "There is no model file gone.safetensors" in capsys.readouterr().err
