"""Parsing of arguments: errors as sentences, and the types of values."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from ..editing.framing import Box

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """Reports wrong arguments as one sentence, like every other wrong input.

    Attributes:
        commands: the words it may begin with, where it has some.
    """

    commands: tuple[str, ...] = ()

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.prog}: {message}. Run `{self.prog} --help` for the usage.")


def parse_steps(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to 1000")
    return value


def parse_share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def parse_effect(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 2:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0, at most 2")
    return value


def parse_seed(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value < 2**64:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 2^64-1")
    return value


def parse_crop(text: str) -> Box:
    """X,Y,W,H in whole pixels."""
    from ..editing.framing import Box

    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not X,Y,W,H in whole pixels: left, top, width and height, such as "
            "800,200,600,600"
        )
    return Box(*map(int, parts))


def _number(text: str) -> float:
    """NaN for what is no number, which no range holds."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def add_device(*commands: argparse.ArgumentParser) -> None:
    """Give each command `--device`."""
    for command in commands:
        command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
