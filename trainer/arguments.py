"""The command lines of the trainer: every command with its arguments, in one place.

Nothing heavy is imported here, so that help and wrong arguments are answered at once. The commands
themselves are in `__main__`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comfyui_cldis.datasets.names import FACTOR_NAMES
from comfyui_cldis.typed_path import expand, typed_path
from comfyui_cldis.wording import suggest

DEFAULT = "train"
# A test compares these with the modules that they come from, which are slow to import.
PRESETS = sorted(
    path.stem for path in (Path(__file__).parent / "config" / "presets").glob("*.toml")
)
ADAPT_PRESETS = sorted(
    path.stem for path in (Path(__file__).parent / "config" / "adapt_presets").glob("*.toml")
)
SOURCES = FACTOR_NAMES  # every procedural set can be trained on
FINDERS = (
    "axes",
    "pca",
    "varimax",
    "ica",
    "sparse",
    "joint",
    "weights",
    "jacobian",
    "learned",
    "flow",
    "auto",
)
STEPPED, STEPS = ("learned", "flow"), 300
VIEWS = ("x0_hat", "preview")

RUN_FOLDER = "the --output folder of the run"
COMMANDS = {
    "train": "train a model from images (the default: the word may be left out)",
    "adapt": "train a small code and a co-pilot on top of an imported model",
    "export": "write the model of a run that was stopped before its end",
    "navigate": "find directions in a trained model and write a copy that has them",
    "report": "write report.html from what a run has logged so far",
    "sweep": "train the rows of an ablation and write one table",
    "card": "print the model card of a model file",
}


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command that `words` name, under `command`, and its arguments.

    Words that begin with a flag of a training run are one.

    Raises:
        ValueError: an unknown command; the message names the nearest.
        SystemExit: help was asked for (0), or the arguments are wrong (2).
    """
    words = list(words)
    if not words or words[0].startswith("-") and words[0] not in ("-h", "--help"):
        words.insert(0, DEFAULT)
    if words[0] not in COMMANDS and not words[0].startswith("-"):
        raise ValueError(_unknown_command(words[0]))
    return build_parser().parse_args(words)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="cldis",
        description="Train CL-Dis models, and look into training runs.",
        epilog="Each command has its own --help. Exit codes: 0 done, 1 a sweep with failed runs, "
        "2 wrong input, 130 stopped.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    train, adapt, export, navigate, report, sweep, card = (
        commands.add_parser(name, help=text) for name, text in COMMANDS.items()
    )
    _add_train(train)
    _add_adapt(adapt)
    export.description = "Write DIR/model.safetensors from the last saved state of a run."
    report.description = "Write DIR/report.html from a run's statistics."
    for command in (export, report):
        command.add_argument("folder", type=typed_path, metavar="DIR", help=RUN_FOLDER)
    export.add_argument(
        "--data",
        type=expand,
        metavar="PATH",
        help="where the images of the run lie now, if they were moved",
    )
    _add_navigate(navigate)
    _add_sweep(sweep)
    card.description = "Print the model card of a model file as Markdown."
    card.add_argument("model", type=typed_path, metavar="MODEL", help="a .safetensors model file")
    for command in (train, adapt, export, navigate, sweep):
        command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description = "Train a CL-Dis model. The same command again resumes a stopped run."
    _add_run(parser, default="cpu64", choice=f"one of {', '.join(PRESETS)}", shown="cpu64")


def _add_adapt(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a small code, a co-pilot and the loop between them on top of an imported Diff-AE, "
        "which stays as it is. The same command again resumes a stopped run."
    )
    parser.epilog = "docs/diffae.md says what is trained, and what it costs."
    parser.add_argument(
        "model", type=typed_path, metavar="MODEL", help="a file that cldis import-diffae wrote"
    )
    choice, shown = f"{' or '.join(ADAPT_PRESETS)}", "that of the device"
    _add_run(parser, default=None, choice=choice, shown=shown)


def _add_run(
    parser: argparse.ArgumentParser, *, default: str | None, choice: str, shown: str
) -> None:
    """The arguments of a run, with its presets."""
    parser.add_argument(
        "--data",
        type=expand,
        required=True,
        metavar="PATH|NAME",
        help=f"folder or .zip of images, or a procedural set: {', '.join(SOURCES)}",
    )
    parser.add_argument(
        "--output", type=typed_path, required=True, metavar="DIR", help="folder of the run"
    )
    parser.add_argument(
        "--preset",
        type=expand,
        default=default,
        metavar="NAME",
        help=f"{choice}, or a .toml file (default: {shown})",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps of the whole run")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of everything random")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the preset, such as batch_size=16; may be given again",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print settings, sizes and estimates; train nothing"
    )
    parser.add_argument(
        "--events", action="store_true", help="print a line of JSON per record on stdout"
    )
    parser.add_argument("--no-tensorboard", action="store_true", help="write no TensorBoard files")


def _add_navigate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Find directions in a trained model without labels, and write a copy of the model that has "
        "them as sliders. The same command again resumes a stopped search of "
        f"{' or '.join(STEPPED)}."
    )
    parser.epilog = "docs/navigation.md says what each finder does and which to use."
    parser.add_argument("model", type=typed_path, metavar="MODEL", help="a .safetensors model file")
    parser.add_argument(
        "--output", type=typed_path, required=True, metavar="NEW", help="file to write"
    )
    parser.add_argument(
        "--data",
        type=expand,
        metavar="PATH|NAME",
        help="images like those the model was trained on; without it the model draws some, "
        "which is too little for pca, varimax, ica, sparse, joint and auto",
    )
    parser.add_argument(
        "--finder", default="axes", metavar="NAME", help=f"one of {', '.join(FINDERS)}"
    )
    parser.add_argument(
        "--directions", type=int, default=0, metavar="K", help="how many (default: all it can find)"
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=f"steps of {' and '.join(STEPPED)} (default: {STEPS})",
    )
    parser.add_argument(
        "--view",
        default=VIEWS[0],
        metavar="NAME",
        help="how codes are drawn meanwhile: x0_hat (default) or preview (faster, blurry)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed of everything random"
    )


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train the rows of an ablation and write table.md, table.json and table.png after each. "
        "The same command again resumes a sweep that was stopped, and tries again what failed."
    )
    parser.add_argument(
        "file", type=typed_path, metavar="FILE", help="a sweep as .toml, see sweeps/"
    )
    parser.add_argument("--output", type=typed_path, required=True, metavar="DIR")
    parser.add_argument(
        "--table-only",
        action="store_true",
        help="train nothing: write the tables anew from DIR/table.json, as FILE is now",
    )


def _unknown_command(name: str) -> str:
    """What a mistyped command may have meant."""
    return (
        f"There is no command '{name}'.{suggest(name, [*COMMANDS])} A training run starts with "
        "--data FOLDER --output DIR."
    )
