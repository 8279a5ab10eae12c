"""`python -m trainer`, and the part of `cldis` that trains: runs, and the commands about them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfyui_cldis.console import on_console
from comfyui_cldis.shortage import explain_missing, full_disk, is_out_of_memory
from comfyui_cldis.wording import command_line

from .arguments import parse
from .training.signals import interrupt_on_terminate

if TYPE_CHECKING:
    from .config.settings import TrainConfig
    from .run import RunSettings

EXTRAS = {  # what to install, and which packages it brings, by the names that are imported
    "train": "torch accelerate filelock matplotlib numba llvmlite psutil rich sklearn joblib scipy "
    "cv2 tensorboard tomli diffusers kornia numpy PIL safetensors tqdm",
    "metrics": "h5py scipy sklearn joblib",
}


def resolve(preset: str, steps: int | None, seed: int | None, texts: Sequence[str]) -> TrainConfig:
    """The configuration of a run from its command line; the flags win over --set."""
    from .config.settings import load_preset, parse_settings

    config = load_preset(preset).with_values(parse_settings(texts))
    return config.with_overrides(steps, seed)


def resolve_adaptation(
    model: Path, preset: str, steps: int | None, seed: int | None, texts: Sequence[str]
) -> TrainConfig:
    """The same of an adaptation of an imported model's file."""
    from .config.adapt import load_adapt_preset
    from .config.settings import parse_settings
    from .training.backbone import read_backbone

    backbone = read_backbone(model)
    config = load_adapt_preset(preset, backbone.config, backbone.schedule, backbone.sha256)
    return config.with_values(parse_settings(texts)).with_overrides(steps, seed)


def resolve_run(arguments: Namespace) -> tuple[TrainConfig, str]:
    """The configuration of a run or an adaptation from its arguments, and its preset."""
    wanted = (arguments.steps, arguments.seed, arguments.set)
    if arguments.command == "train":
        return resolve(arguments.preset, *wanted), arguments.preset
    from .training.distributed import choose_device

    device = choose_device(arguments.device)
    preset = arguments.preset or {"cuda": "gpu"}.get(device, device)
    return resolve_adaptation(arguments.model, preset, *wanted), preset


def train(arguments: Namespace) -> int:
    """Run or resume a training run; 0 when it is finished, 130 when it was stopped."""
    return run_settings(arguments, *resolve_run(arguments))


def adapt(arguments: Namespace) -> int:
    """Run or resume an adaptation; exit codes as of `train`."""
    return run_settings(arguments, *resolve_run(arguments), arguments.model)


def run_settings(
    arguments: Namespace, config: TrainConfig, preset: str, backbone: Path | None = None
) -> int:
    """Do or plan the run that a command line describes; see `train`."""
    from .run import RunSettings
    from .run import train as run
    from .training.distributed import choose_device, close_processes, is_first_process

    settings = RunSettings(
        data=arguments.data,
        output=arguments.output,
        config=config,
        device=choose_device(arguments.device),
        preset=preset,
        use_tensorboard=not arguments.no_tensorboard,
        backbone=backbone,
    )
    is_main = is_first_process()
    if arguments.dry_run:
        from .estimate.adaptation import describe_adaptation
        from .estimate.dry_run import describe_plan

        if is_main:
            log("Counting what the run needs and timing a few steps; large presets take a minute.")
        print(describe_plan(settings) if backbone is None else describe_adaptation(settings))
        return 0
    try:
        outcome = run(settings, log, events=sys.stdout if arguments.events else None)
    finally:
        close_processes()
    if outcome.finished:
        if is_main:
            log(f"Finished: {outcome.model}")
        return 0
    log(f"To open it as it is now: {command_line('cldis', 'export', arguments.output)}")
    return 130


def export(arguments: Namespace) -> int:
    """Write the model of a run that was stopped before its end."""
    from .data.sources import BUILT_IN_SOURCES
    from .run import export_stopped

    settings = stored_settings(arguments.folder, arguments.device)
    if arguments.data is not None:
        settings = replace(settings, data=arguments.data)
    elif settings.data not in BUILT_IN_SOURCES and not Path(settings.data).exists():
        command = command_line("cldis", "export", arguments.folder, "--data", "PATH")
        raise FileNotFoundError(
            f"The images of this run are no longer at {settings.data}. Say where they are now: "
            f"{command}"
        )
    log(f"Wrote {export_stopped(settings, log)}")
    return 0


def report(arguments: Namespace) -> int:
    """Write report.html from what a run has logged so far."""
    from comfyui_cldis.checkpoint import read_header

    from .export import MODEL_NAME
    from .report.report import write_report

    model_path = arguments.folder / MODEL_NAME
    model = read_header(model_path) if model_path.is_file() else None
    log(f"Wrote {write_report(arguments.folder, model, [])}")
    return 0


def navigate(arguments: Namespace) -> int:
    """Find directions in a trained model and write a copy that has them."""
    from .navigation.command import run as run_navigate

    return run_navigate(arguments, log)


def sweep(arguments: Namespace) -> int:
    """Train the rows of an ablation and write one table."""
    from .sweep.command import run as run_sweep

    return run_sweep(arguments, log)


def card(arguments: Namespace) -> int:
    """Print the model card of a model file."""
    from .report.model_card import write_card

    print(write_card(arguments.model), end="")
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "train": train,
    "adapt": adapt,
    "export": export,
    "navigate": navigate,
    "report": report,
    "sweep": sweep,
    "card": card,
}


def stored_settings(folder: Path, device: str) -> RunSettings:
    """The settings a run was started with, from its config.json.

    Raises:
        ValueError: no run in `folder`, or a damaged config.json.
    """
    from .run import RunSettings
    from .training.checkpoint import read_config
    from .training.distributed import choose_device

    stored, device = read_config(folder), choose_device(device)
    return RunSettings(stored.source, folder, stored.config, device, backbone=stored.backbone)


def log(text: str) -> None:
    """One line for the person at the terminal."""
    print(text.rstrip(), file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code of the work: 0 done, 2 wrong input, 130 stopped.

    What the console cannot show, and a reader of the output that goes away, change nothing of it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with on_console(log):
        return run_command(words)


def run_command(words: Sequence[str]) -> int:
    """Run the command that `words` name; what goes wrong becomes a sentence and an exit code."""
    try:
        with interrupt_on_terminate():
            arguments = parse(words)
            announce_loading(sys.modules)
            code = COMMANDS[arguments.command](arguments)
            print(end="", flush=True)  # here, so that a full disk is an error like others
            return code
    except KeyboardInterrupt as stop:
        log(str(stop) or "Stopped. Nothing that was saved is lost; run the same command to resume.")
        return 130
    except ModuleNotFoundError as error:
        log(f"cldis: {missing_package(error)}")
        return 2
    except (ValueError, FileNotFoundError, FloatingPointError, OSError) as error:
        log(f"cldis: {full_disk(error) or error}")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        log(f"cldis: Out of memory; what had been saved is kept. {less_memory(words)}")
        return 2


def less_memory(words: Sequence[str]) -> str:
    """What to do where the command that `words` name ran out of memory, in a sentence."""
    arguments = parse(words)
    if arguments.command in ("train", "adapt"):
        if resolve_run(arguments)[0].objective.compares_images:
            return (
                "The objective compares the images of a part, so this run cannot go on in smaller "
                "parts. Start another one in a new output folder, with --set accumulation_steps=2 "
                "(or more) or a smaller preset."
            )
        return (
            "Run the same command with --set accumulation_steps=2 (or more), which computes the "
            "batch in parts, or choose a smaller preset."
        )
    use_cpu = (
        ", or add --device cpu if it was the memory of the GPU" if "device" in arguments else ""
    )
    return f"Close other programs{use_cpu}, and run the same command again."


def missing_package(error: ModuleNotFoundError) -> str:
    """What to install, in a sentence; a module that no package brings is raised again."""
    package, text = explain_missing(error)
    if package and text:
        return text
    target = '-e ".[{}]"' if __package__ == "trainer" else '"cldis[{}]"'  # checkout, or a wheel
    for extra, names in EXTRAS.items():
        if package in names.split():
            return (
                f"{error.msg}: the package {package} is not installed, or too old. Install what "
                f"this needs: python -m pip install {target.format(extra)}"
            )
    raise error


def announce_loading(modules: Container[str]) -> None:
    """Log that it takes a while to load PyTorch, if it does and somebody watches."""
    if sys.stderr.isatty() and "torch" not in modules:
        log("Loading PyTorch ...")


if __name__ == "__main__":
    raise SystemExit(main())
