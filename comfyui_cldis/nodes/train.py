"""Training: images become a model file in models/cldis, and at once a CLDIS_MODEL.

The trainer runs in ComfyUI's own process, with a copy of the library of its own (`trainer_door`).
Images go in as files, the model comes out as a file, and the loader reads it like any other.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.slider_names import names_path
from ..datasets.names import HEADS_NAME
from ..shortage import explain_missing, is_out_of_memory
from ..trainer_door import load_trainer, preset_names
from .checks import accepted
from .load import LoadModel
from .model_files import file_state
from .packages import BASE, HEADS, TRAINING, describe_missing, require
from .run_folder import (
    RunFolder,
    check_free,
    check_name,
    find_data,
    keep_images,
    num_losses,
    open_run,
    publish,
)
from .sockets import CATEGORY, MODEL, LoadedModel
from .watch import Watch

DEFAULT_PRESET = "cpu64"
NUM_RECORDS = 100  # at least so many moves of the progress bar, one a step in a short run
NUM_SAMPLES = 4  # at least so many previews

logger = logging.getLogger(__name__)


class Train:
    DESCRIPTION = (
        "Trains a CL-Dis model from a batch or a folder of images, saves it in models/cldis and "
        "outputs it. Stopped or run again under the same name, it resumes where it was."
    )
    CATEGORY = f"{CATEGORY}/training"
    SEARCH_ALIASES = [
        "cldis trainer",
        "train model",
        "learn directions",
        "learn sliders",
        "disentangled representation",
    ]
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The trained model, for the model inputs of all CLDis nodes.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        presets = preset_names() or [DEFAULT_PRESET]
        return {
            "required": {
                "name": (
                    "STRING",
                    {
                        "default": "my model",
                        "tooltip": (
                            "Name of the run and of the model file in models/cldis. The same name "
                            "resumes the same run; a file of another origin is never replaced."
                        ),
                    },
                ),
                "folder": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": (
                            "A folder or .zip of images: a whole path, or its name in ComfyUI's "
                            "input folder. heads draws its own images. Leave it empty when "
                            "images is connected."
                        ),
                    },
                ),
                "preset": (
                    presets,
                    {
                        "default": DEFAULT_PRESET if DEFAULT_PRESET in presets else presets[0],
                        "tooltip": (
                            "Size of the model and length of the training; the number is the side "
                            "of its images. tiny32 is for trying out, cpu64 for a CPU, those "
                            "with gpu for a GPU."
                        ),
                    },
                ),
                "steps": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 10_000_000,
                        "step": 1,
                        "tooltip": (
                            "Steps of the whole run; 0 takes the preset's. Raise it to train a "
                            "finished run further."
                        ),
                    },
                ),
                # Not "seed": the browser would change it after each run, and each be another run.
                "training_seed": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 2**32 - 1,
                        "tooltip": "Seed of everything random in the run: weights, order, noise.",
                    },
                ),
            },
            "optional": {
                "images": (
                    "IMAGE",
                    {
                        "tooltip": (
                            "A batch of at least 2 images, instead of a folder. They are kept as "
                            "PNG files in the run's folder; the central square of each is used."
                        )
                    },
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, name):
        return accepted(name, check_name)

    @classmethod
    def IS_CHANGED(cls, name, **others):
        # Not the model file: the run itself writes it, and every first run would come again. That
        # it was deleted counts, once, so that the next run trains and the one after it does not.
        if name is None or accepted(name, check_name) is not True:
            return ""
        run = open_run(name)
        return f"{file_state(names_path(run.model))} {num_losses(run) or ''}".strip()

    def execute(
        self,
        name: str,
        folder: str,
        preset: str,
        steps: int,
        training_seed: int,
        images: Tensor | None = None,
    ) -> tuple[LoadedModel]:
        folder = folder.strip()
        require(BASE, TRAINING, HEADS if folder == HEADS_NAME else {})
        _check_choice(folder, images, preset)
        run = open_run(name)
        check_free(run)
        # ComfyUI runs its nodes in inference mode, which leaves no gradients to train with.
        with torch.inference_mode(False), torch.enable_grad(), _in_own_words(run, preset):
            trained = _train(run, folder, preset, steps, training_seed, images)
        publish(run, trained)
        return LoadModel().execute(run.model.name, "auto")


def _check_choice(folder: str, images: Tensor | None, preset: str) -> None:
    """Raises ValueError unless there is one source of images, and a preset of that name."""
    if bool(folder) == (images is not None):
        given = "images is connected and folder" if folder else "images is not connected and folder"
        raise ValueError(
            f"{given} is '{folder}'. Give the images one way: connect images and leave folder "
            "empty, or fill in folder."
        )
    if preset not in preset_names():
        raise ValueError(
            f"There is no preset '{preset}'. Use one of {', '.join(preset_names()) or 'none'}."
        )


def _train(
    run: RunFolder, folder: str, preset: str, steps: int, seed: int, images: Tensor | None
) -> Path:
    """Start or resume the run, to its last step.

    Returns: the model file in the run's folder.

    Raises: ComfyUI's interrupt, after the state was saved; and what the trainer raises.
    """
    trainer = load_trainer("run")
    if images is None:
        data = find_data(folder, load_trainer("data").BUILT_IN_SOURCES)
    else:
        has_started = bool(load_trainer("training.checkpoint").state_files(run.folder))
        keep_images(run, images, has_started)
        data = str(run.images)
    config = load_trainer("config.settings").load_preset(preset).with_overrides(steps or None, seed)
    device = _device()
    settings = trainer.RunSettings(
        data=data,
        output=run.folder,
        config=watched_often(config),
        device=device,
        preset=preset,
        use_tensorboard=importlib.util.find_spec("tensorboard") is not None,
    )
    watch = Watch(config.steps)
    try:
        with _room_on(device):
            outcome = trainer.train(
                settings,
                logger.info,
                on_record=watch.on_record,
                on_image=watch.on_image,
                should_stop=watch.should_stop,
            )
    finally:
        watch.close()
    watch.raise_if_interrupted()
    if not outcome.finished:
        raise RuntimeError(
            f"The training of '{run.name}' was stopped at step {outcome.step} of {config.steps}, "
            "and its state is saved. Run the workflow again to resume."
        )
    return outcome.model


def watched_often(config: Any) -> Any:
    """The same run, reporting often enough for somebody who watches it."""
    samples = config.sample_every_steps or config.steps
    return replace(
        config,
        log_every_steps=min(config.log_every_steps, max(1, config.steps // NUM_RECORDS)),
        sample_every_steps=min(samples, max(1, config.steps // NUM_SAMPLES)),
    )


def _device() -> str:
    """Where ComfyUI computes, as far as the trainer can: "cuda" or "cpu"."""
    management = sys.modules.get("comfy.model_management")
    if management is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = management.get_torch_device().type
    if kind not in ("cpu", "cuda"):
        logger.warning("The trainer knows no device '%s'; it trains on the CPU.", kind)
        return "cpu"
    return kind


@contextmanager
def _room_on(device: str) -> Iterator[None]:
    """Clears ComfyUI's models off the GPU before a training, and the training's memory after it."""
    management = sys.modules.get("comfy.model_management")
    if device == "cpu" or management is None:
        yield
        return
    management.unload_all_models()
    management.soft_empty_cache()
    try:
        yield
    finally:
        gc.collect()
        management.soft_empty_cache()


@contextmanager
def _in_own_words(run: RunFolder, preset: str) -> Iterator[None]:
    """Puts the node's remedy, by its own inputs, behind the facts that the trainer reports."""
    errors = load_trainer("errors")
    try:
        yield
    except errors.OutputInData as error:
        raise ValueError(f"{error.fact} Give a folder that does not hold it.") from error
    except errors.OutputTaken as error:
        raise ValueError(f"{error.fact} {error.remedy}, or choose another name.") from error
    except errors.TooFewSteps as error:
        raise ValueError(
            f"The run '{run.name}' is at step {error.step} already, beyond the {error.steps} asked "
            f"for, and steps cannot be undone. Set steps to {error.step} or more, or choose "
            "another name."
        ) from error
    except errors.NotFinite as error:
        raise FloatingPointError(
            f"{error.fact} Choose another name, and another training_seed or preset. {error.kept}"
        ) from error
    except ModuleNotFoundError as error:
        package, _ = explain_missing(error)
        if not package:  # a fault of ours
            raise
        raise RuntimeError(describe_missing("This training", [package])) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RuntimeError(
            f"Memory ran out while training with preset {preset}; what had been saved is kept. "
            "Close other programs and run the workflow again, or choose a smaller preset and "
            "another name."
        ) from error
