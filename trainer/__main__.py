"""`python -m trainer`: train a model from a folder of pictures or from procedural heads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loop import Trainer

MODEL_NAME = "model.safetensors"


def build_parser() -> argparse.ArgumentParser:
    """The command line of the trainer."""
    from .config import preset_names

    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train a CL-Dis model. The same command again resumes a stopped run.",
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH|heads",
        help="folder or .zip of pictures, or 'heads' for procedural portraits",
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
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return parser


def choose_device(name: str) -> str:
    """Resolve "auto"; "cuda" without a usable GPU is an error, never a fallback.

    Raises:
        ValueError: "cuda" was asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("There is no usable CUDA device. Use --device cpu or --device auto.")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def train(arguments: argparse.Namespace) -> int:
    """Run or resume a training run; 0 when it is finished, 130 when it was stopped."""
    from .config import load_preset
    from .data import open_images
    from .logs import RunLog
    from .loop import Trainer
    from .samples import write_samples
    from .state import check_config

    config = load_preset(arguments.preset).with_overrides(arguments.steps, arguments.seed)
    device = choose_device(arguments.device)
    if arguments.data != "heads" and not Path(arguments.data).exists():
        raise FileNotFoundError(
            f"There is no folder or file {arguments.data}. Give a folder or .zip of pictures, or "
            "'heads'."
        )
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    source = arguments.data if arguments.data == "heads" else str(Path(arguments.data).resolve())
    check_config(folder, config, source)
    images = open_images(
        arguments.data,
        config.model.image_size,
        cache_dir=folder / "cache",
        num_images=config.num_images or None,
        seed=config.seed,
        channels=config.model.in_channels,
    )
    say(images.report.describe())
    trainer = Trainer(config, images.images, device)
    resumed = trainer.resume(folder)
    model_path = folder / MODEL_NAME
    if trainer.step >= config.steps and is_export_of(model_path, trainer):
        say(f"This run is finished: {model_path} (step {trainer.step}).")
        return 0
    if resumed:
        say(f"Resuming at step {trainer.step} of {config.steps}.")
    with RunLog(folder, trainer.step, config.steps, config.batch_size) as log:
        finished = trainer.run(
            folder, on_log=log.write, on_sample=lambda run: write_samples(run, folder)
        )
    if not finished:
        say(f"Stopped and saved at step {trainer.step}. Run the same command to go on.")
        return 130
    command = (
        f"python -m trainer --data {arguments.data if source == 'heads' else Path(source).name} "
        f"--preset {Path(arguments.preset).name} --steps {config.steps} --seed {config.seed}"
    )
    finish(trainer, model_path, source, command)
    say(f"Finished: {model_path}")
    return 0


def is_export_of(path: Path, trainer: Trainer) -> bool:
    """Whether the file at `path` was exported from this run at its present step."""
    from comfyui_cldis.checkpoint import read_header

    if not path.is_file():
        return False
    training = read_header(path).facts.get("training")
    if not isinstance(training, dict):
        return False
    return (training.get("steps"), training.get("seed")) == (trainer.step, trainer.config.seed)


def finish(trainer: Trainer, path: Path, source: str, command: str) -> None:
    """Measure the trained model and write its checkpoint file."""
    import torch

    from comfyui_cldis.checkpoint import save_checkpoint

    from .export import assemble, describe_run, unseen_images

    config = trainer.config
    facts = describe_run(
        config,
        source=source,
        num_images=len(trainer.images),
        step=trainer.step,
        seconds=trainer.seconds,
        command=command,
        device=trainer.device,
    )
    unseen = unseen_images(source, config)
    model = assemble(trainer.average.module, config, trainer.images, facts, unseen)
    save_checkpoint(path, model, dtype=torch.float16)
    if not model.directions:
        say(
            "Note: no axis of the code changes the picture visibly yet, so the model has no "
            "sliders. Run again with more --steps; the same folder goes on."
        )


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(text.rstrip() + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 2 wrong input, 130 stopped."""
    arguments = build_parser().parse_args(argv)
    try:
        return train(arguments)
    except KeyboardInterrupt:
        say("Stopped. Run the same command to go on from the last saved state.")
        return 130
    except ModuleNotFoundError as error:
        say(f'trainer: {error}. Install what training needs: python -m pip install -e ".[train]"')
        return 2
    except (ValueError, FileNotFoundError, FloatingPointError, OSError) as error:
        say(f"trainer: {error}")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
