"""The `cldis` command: demo, edit, traverse for images; info, directions, rename, prune,
import-diffae, parity, evaluate and track for models; and train, with the trainer's other commands.

Exit codes: 0; 1 for a sweep with failed runs, or a model that is not as exact as `parity` wants;
2 for wrong input, or too little memory or room on the disk, with one or two plain sentences on
stderr; 130 after Ctrl-C. They are those of the work: a console that cannot show a character, or a
reader that goes away, as in `cldis info | head -1`, changes nothing (`console`).
Heavy imports happen inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..console import on_console
from ..shortage import explain_missing, full_disk, is_out_of_memory
from ..wording import suggest
from . import images, importing, models, scores
from .arguments import Parser
from .terminal import complain

WRONG_INPUT, CANCELLED = 2, 130
TRAINER_COMMANDS = {  # a test asks the trainer for each
    "train": "train a model, or resume a stopped training",
    "adapt": "train a small code and a co-pilot on top of an imported model",
    "export": "write the model of a training that is not finished",
    "navigate": "find other directions in a trained model",
    "report": "write the report of a training anew",
    "sweep": "train the rows of an ablation into one table",
    "card": "print the model card of a model file",
}


OR_THE_CPU = ", or add --device cpu where it was the memory of the GPU"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command (default: with the process's arguments) and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with on_console(complain):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    options: argparse.Namespace | None = None
    try:
        if arguments and arguments[0] in TRAINER_COMMANDS:  # flags are its own, also `--help`
            return _train(arguments)
        parser = build_parser()
        _check_command(arguments[:1], parser.commands)
        options = parser.parse_args(arguments)
        code = options.run(options)
        print(end="", flush=True)  # here, so that a full disk is an error like others
        return code
    except KeyboardInterrupt:
        complain("Cancelled.")
        return CANCELLED
    except ModuleNotFoundError as error:
        package, text = explain_missing(error)
        if not package:
            raise  # an error of ours, not of the installation
        remedy = f"The package {package} is not installed. Run: python -m pip install {package}"
        complain(text or remedy)
    except (ValueError, OSError) as error:
        complain(full_disk(error) or str(error) or type(error).__name__)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        has_device = options is not None and "device" in options
        complain(
            "Memory ran out; files that were there are whole. Close other programs, or use a "
            f"smaller image or model{OR_THE_CPU if has_device else ''}."
        )
    return WRONG_INPUT


def _check_command(words: Sequence[str], commands: Sequence[str]) -> None:
    """Raise ValueError for a first word that is no command, with what it may have meant."""
    for word in words:
        if word not in commands and not word.startswith("-"):
            raise ValueError(f"There is no command '{word}'.{suggest(word, commands)}")


def _train(arguments: list[str]) -> int:
    """Hands all arguments to the trainer, wherever this installation has it."""
    from ..trainer_door import load_trainer

    return load_trainer("__main__").main(arguments)


def build_parser() -> Parser:
    parser = Parser(
        prog="cldis",
        description="Move the factors of an image.",
        epilog="Exit codes: 0 done, 1 a sweep with failed runs or parity beyond its tolerance, 2 "
        "wrong input, 130 cancelled; they are those of the work, also where nobody reads the "
        "output to its end.",
    )
    parser.add_argument("--version", action="version", version=f"cldis {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for group in (images, models, importing, scores):
        group.add_commands(commands)
    for name, text in TRAINER_COMMANDS.items():
        commands.add_parser(name, help=text)
    parser.commands = tuple(commands.choices)
    return parser
