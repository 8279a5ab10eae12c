"""`python -m trainer`: train a model from images, and the commands about training runs."""

from __future__ import annotations

import argparse
import difflib
import errno
import sys
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .training.signals import interrupt_on_terminate

if TYPE_CHECKING:
    from .config.settings import TrainConfig
    from .run import RunSettings

COMMANDS = (
    "commands: train (may be left out), export DIR, navigate MODEL, report DIR, sweep FILE (each "
    "with --help)"
)
NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
EXTRAS = {  # what to install, and which packages it brings, by the names that are imported
    "train": "torch accelerate filelock matplotlib numba llvmlite psutil rich tensorboard tomli "
    "diffusers kornia numpy PIL safetensors tqdm",
    "metrics": "h5py scipy sklearn",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line of a training run."""
    from .config.settings import preset_names

    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train a CL-Dis model. The same command again resumes a stopped run.",
        epilog=COMMANDS,
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH|NAME",
        help="folder or .zip of images, or a procedural set: heads, shapes3d-equivalent, "
        "dsprites-equivalent",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--preset",
        default="cpu64",
        metavar="NAME",
        help=f"one of {', '.join(preset_names())}, or a .toml file (default: cpu64)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps of the whole run")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of everything random")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the preset, such as loop.feedback=ramp; may be given again",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--dry-run", action="store_true", help="print settings, sizes and estimates; train nothing"
    )
    parser.add_argument(
        "--events", action="store_true", help="print a line of JSON per record on stdout"
    )
    parser.add_argument("--no-tensorboard", action="store_true", help="write no TensorBoard files")
    return parser


def resolve(preset: str, steps: int | None, seed: int | None, texts: Sequence[str]) -> TrainConfig:
    """The configuration of a run from its command line; the flags win over --set."""
    from .config.settings import load_preset, parse_setting

    config = load_preset(preset).with_values(dict(parse_setting(text) for text in texts))
    return config.with_overrides(steps, seed)


def train(arguments: argparse.Namespace) -> int:
    """Run or resume a training run; 0 when it is finished, 130 when it was stopped."""
    config = resolve(arguments.preset, arguments.steps, arguments.seed, arguments.set)
    from .run import RunSettings
    from .run import train as run
    from .training.distributed import choose_device, is_first_process

    settings = RunSettings(
        data=arguments.data,
        output=Path(arguments.output),
        config=config,
        device=choose_device(arguments.device),
        preset=arguments.preset,
        use_tensorboard=not arguments.no_tensorboard,
    )
    is_main = is_first_process()
    if arguments.dry_run:
        from .estimate.dry_run import describe_plan

        if is_main:
            say("Counting what the run needs and timing a few steps; large presets take a minute.")
        print(describe_plan(settings))
        return 0
    outcome = run(settings, say, events=sys.stdout if arguments.events else None)
    if outcome.finished:
        if is_main:
            say(f"Finished: {outcome.model}")
        return 0
    say(f"To open it as it is now: python -m trainer export {arguments.output}")
    return 130


def export(argv: Sequence[str]) -> int:
    """`export DIR`: write the model of a run that was stopped before its end."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer export",
        description="Write DIR/model.safetensors from the last saved state of a run.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --output folder of the run")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    arguments = parser.parse_args(argv)
    from .run import export_stopped

    say(f"Wrote {export_stopped(stored_settings(arguments.folder, arguments.device), say)}")
    return 0


def report(argv: Sequence[str]) -> int:
    """`report DIR`: write report.html from what a run has logged so far."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer report",
        description="Write DIR/report.html from a run's statistics.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --output folder of the run")
    arguments = parser.parse_args(argv)
    from comfyui_cldis.checkpoint import read_header

    from .report.report import write_report
    from .run import MODEL_NAME

    model_path = arguments.folder / MODEL_NAME
    model = read_header(model_path) if model_path.is_file() else None
    say(f"Wrote {write_report(arguments.folder, model, [])}")
    return 0


def navigate(argv: Sequence[str]) -> int:
    """`navigate MODEL`: find directions in a trained model and write a copy that has them."""
    from .navigation.command import main as run_navigate

    return run_navigate(argv, say)


def sweep(argv: Sequence[str]) -> int:
    """`sweep FILE`: train the rows of an ablation and write one table."""
    from .sweep.sweep import main as run_sweep

    return run_sweep(argv, say)


def stored_settings(folder: Path, device: str) -> RunSettings:
    """The settings a run was started with, from its config.json.

    Raises:
        ValueError: no run in `folder`, or a damaged config.json.
    """
    from .run import RunSettings
    from .training.checkpoint import read_config
    from .training.distributed import choose_device

    config, source = read_config(folder)
    return RunSettings(source, folder, config, choose_device(device))


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(text.rstrip() + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 2 wrong input, 130 stopped."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "export": export,
        "navigate": navigate,
        "report": report,
        "sweep": sweep,
    }
    try:
        with interrupt_on_terminate():
            announce_loading(sys.modules)
            if words and not words[0].startswith("-"):
                name = words.pop(0)
                if name in commands:
                    return commands[name](words)
                if name != "train":
                    raise ValueError(unknown_command(name, ["train", *commands]))
            return train(build_parser().parse_args(words))
    except KeyboardInterrupt as stop:
        say(str(stop) or "Stopped. Nothing that was saved is lost; run the same command to resume.")
        return 130
    except ModuleNotFoundError as error:
        say(f"trainer: {missing_package(error)}")
        return 2
    except (ValueError, FileNotFoundError, FloatingPointError, OSError) as error:
        say(f"trainer: {full_disk(error) or error}")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        say(
            "trainer: Out of memory; what had been saved is kept. Run the same command with "
            "--set accumulation_steps=2 (or more), which computes the batch in parts, or choose "
            "a smaller preset."
        )
        return 2


def unknown_command(name: str, known: Sequence[str]) -> str:
    """What a mistyped command may have meant."""
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Use one of {', '.join(known)}."
    return (
        f"There is no command '{name}'. {hint} A training run starts with "
        "--data FOLDER --output DIR."
    )


def missing_package(error: ModuleNotFoundError) -> str:
    """What to install, in a sentence; a module that no package brings is raised again."""
    if error.name is None:  # a reader of data that names its package and the remedy
        return str(error)
    package = error.name.partition(".")[0]
    target = '-e ".[{}]"' if __package__ == "trainer" else '"cldis[{}]"'  # checkout, or a wheel
    for extra, names in EXTRAS.items():
        if package in names.split():
            return (
                f"{error.msg}: the package {package} is not installed, or too old. Install what "
                f"this needs: python -m pip install {target.format(extra)}"
            )
    raise error


def full_disk(error: BaseException) -> str | None:
    """A sentence for a write that found no room; None for other errors, and for our own."""
    if not isinstance(error, OSError) or error.errno not in NO_ROOM:
        return None
    name = f" while {error.filename} was written" if error.filename else ""
    return (
        f"There was no room on the disk{name} ({error.strerror}); what had been saved is "
        "kept. Free space, or choose another --output, and run the same command again."
    )


def announce_loading(modules: Container[str]) -> None:
    """Say that it takes a while to load PyTorch, if it does and somebody watches."""
    if sys.stderr.isatty() and "torch" not in modules:
        say("Loading PyTorch ...")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the machine or of the GPU, ran out."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error)
    return "not enough memory" in text or "can't allocate memory" in text


if __name__ == "__main__":
    raise SystemExit(main())
