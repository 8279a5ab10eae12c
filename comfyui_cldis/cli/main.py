"""The `cldis` command: demo, edit, traverse for images; info, directions, rename, prune, evaluate
and track for models; and train.

Exit codes: 0; 2 for wrong input, with one or two plain sentences on stderr; 130 after Ctrl-C.
Heavy imports happen inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from . import images as images
from . import models, scores
from .arguments import Parser
from .terminal import complain

WRONG_INPUT, CANCELLED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command (default: with the process's arguments) and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["train"]:  # its flags are the trainer's own, `--help` included
            return _train(arguments[1:])
        options = _parser().parse_args(arguments)
        return options.run(options)
    except KeyboardInterrupt:
        complain("Cancelled.")
        return CANCELLED
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("", "comfyui_cldis", "trainer"):
            raise  # an error of ours, not of the installation
        complain(f"The package {missing} is not installed. Run: python -m pip install {missing}")
    except (ValueError, OSError) as error:
        complain(str(error) or type(error).__name__)
    return WRONG_INPUT


def _train(arguments: list[str]) -> int:
    """Hands all arguments to the trainer, which lives beside the package in a checkout."""
    from ..trainer_door import load_trainer

    return load_trainer("__main__").main(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="cldis", description="Move the factors of an image.")
    parser.add_argument("--version", action="version", version=f"cldis {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for group in (images, models, scores):
        group.add_commands(commands)
    commands.add_parser("train", help="train a model; the flags are those of `python -m trainer`")
    return parser
