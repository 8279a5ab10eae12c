"""Paths as people type and paste them: home folders, quotes, and what must stay as it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyui_cldis.cli.main import build_parser as build_cldis_parser
from comfyui_cldis.typed_path import expand, typed_path
from trainer.arguments import build_parser


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home" / "my pics").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_home(home: Path) -> None:
    assert typed_path("~/my pics") == home / "my pics"
    assert expand("~") == str(home)
    assert expand("~/not/there.png") == str(home) + "/not/there.png"


@pytest.mark.parametrize(
    "text", ["heads", "./heads", "./~", "a~b", "~no such user/x", "", "a/../b", " a ", "'", '""']
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert expand(text) == text


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', '{}"'])
def test_quotes_around_a_path_that_is_there(home: Path, quoted: str) -> None:
    assert typed_path(quoted.format(home / "my pics")) == home / "my pics"
    assert typed_path(quoted.format("~/my pics")) == home / "my pics"
    (home.parent / "here" / "x y.png").touch()
    assert expand(quoted.format("x y.png")) == "x y.png"
    assert expand(quoted.format("my pics"), str(home)) == "my pics"  # relative to another folder


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"'])
def test_quotes_around_a_file_to_be_written(home: Path, quoted: str) -> None:
    assert typed_path(quoted.format(home / "new.png")) == home / "new.png"
    nowhere = quoted.format(home / "no" / "folder" / "new.png")
    assert expand(nowhere) == nowhere


@pytest.mark.parametrize("name", ["'x'", '"x"', 'x"'])
def test_a_name_that_has_quotes_itself_stays(home: Path, name: str) -> None:
    for each in (name, "x"):
        (home / each).touch()
    assert expand(str(home / name)) == str(home / name)
    assert expand(name, str(home)) == name
    assert expand(f"new {name}") == f"new {name}"  # to be written


def arguments_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """All arguments of a parser and its commands, with the command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from arguments_of(command)
        else:
            yield parser.prog, action


PATHS = {
    "checkpoint",
    "io",
    "latent",
    "model",
    "image",
    "output",
    "sheet",
    "data",
    "json",
    "dataset",
    "representation",
    "cache",
} | {
    "folder",
    "file",
    "preset",
    "mask",
    "references",
}


@pytest.mark.parametrize("parser", [build_cldis_parser(), build_parser()], ids=["cldis", "trainer"])
def test_every_path_of_the_command_lines_is_a_typed_one(parser: argparse.ArgumentParser) -> None:
    found = 0
    for command, action in arguments_of(parser):
        if action.dest in PATHS and action.nargs != 0:
            assert action.type in (expand, typed_path), f"{command}: {action.dest}"
            found += 1
        else:
            assert action.type not in (Path, typed_path), f"{command}: {action.dest}"
    assert found > 8
