"""The model file of a run and the report beside it: whether they are there, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config.adapt import config_from_dict
from .errors import NothingFound
from .training.checkpoint import changed_settings, free_to_change
from .training.trainer import OTHER_IMAGES, Trainer

if TYPE_CHECKING:
    from comfyui_cldis.checkpoint import Header
    from comfyui_cldis.editing.editable import EditableModel
    from comfyui_cldis.editing.facts import TrainingFacts

    from .report.samples import Strip

MODEL_NAME = "model.safetensors"
EXPORT_SETTINGS = ("directions",)  # that may change after the training and change the model


def is_export_of(path: Path, trainer: Trainer) -> bool:
    """Whether the file at `path` was exported from this run at its step, with its settings.

    One that cannot be read was not: a run needs its states alone, and writes its file anew.
    """
    header = _readable(path)
    if header is None or not _is_of_step(header.facts.training, trainer):
        return False
    if header.facts.quality.images == OTHER_IMAGES and not trainer.has_other_images:
        return False
    stored, wanted = header.facts.training.config, trainer.config.to_dict()
    return all(stored.get(name) == wanted[name] for name in EXPORT_SETTINGS)


def _is_of_step(training: TrainingFacts, trainer: Trainer) -> bool:
    """Whether a model file is of this run at its step, whatever of `free_to_change` has changed."""
    if (training.steps, training.seed) != (trainer.step, trainer.config.seed):
        return False
    try:
        stored = _settled(training.config, trainer)
    except ValueError:  # settings of another version
        return False
    now = _settled(trainer.config.to_dict(), trainer)
    return changed_settings(stored, now) <= free_to_change(trainer.config)


def _settled(settings: Mapping[str, Any], trainer: Trainer) -> dict[str, Any]:
    """Settings in the form in which they compare: with the warm-up of the run's schedule.

    A run that was never resumed records its warm-up as it was asked for.
    """
    return trainer.run_schedule.settle(config_from_dict(settings)).to_dict()


def _check_found(path: Path, trainer: Trainer) -> None:
    """Raise NothingFound if the file at `path` has directions of this very step of the run."""
    header = _readable(path)
    if header is None:
        return
    training = header.facts.training
    if header.directions and _is_of_step(training, trainer):
        before = str(training.config.get("directions", "axes"))
        raise NothingFound(path, trainer.config.directions, before)


def _readable(path: Path) -> Header | None:
    """What the model file at `path` says; None where there is none that can be read.

    Raises: NamesError for damaged names beside it, which a person gave and can repair.
    """
    from comfyui_cldis.checkpoint import CheckpointError, read_header
    from comfyui_cldis.checkpoint.slider_names import NamesError

    try:
        return read_header(path) if path.is_file() else None
    except NamesError:
        raise
    except CheckpointError:  # `_write` says so before it is replaced
        return None


def _write(
    path: Path, trainer: Trainer, model: EditableModel, log: Callable[[str], None]
) -> EditableModel:
    """Write the model file and return the model under the names that its sliders have now.

    What stands beside a file that cannot be read stays as it is.
    """
    from comfyui_cldis.checkpoint import CheckpointError, read_header, save_checkpoint
    from comfyui_cldis.checkpoint.rewrite import save_with_names

    from .slider_names import take_over

    try:
        before = read_header(path) if path.is_file() else None
    except CheckpointError as error:
        log(f"Note: names given to sliders are not taken over. {error}")
        before = None
    if before is None:
        save_checkpoint(path, model, dtype=trainer.export_dtype)
        return model
    is_same = _is_of_step(before.facts.training, trainer)
    directions, lost = take_over(before.directions, model.directions, is_same_model=is_same)
    named = replace(model, directions=directions)
    save_with_names(path, named, trainer.export_dtype)
    given = [each.name for each in directions if each.file_name]
    if given and not is_same:
        log(
            f"Note: the sliders keep the names given to them: {', '.join(given)}. Look whether "
            "they still fit, for the model was trained further, or anew."
        )
    if lost:
        log(
            "Note: names of the file before that no slider has now, or another one: "
            f"{', '.join(lost)}. Use the new names where they were saved."
        )
    return named


def export(
    trainer: Trainer, path: Path, source: str, command: str, log: Callable[[str], None]
) -> Sequence[Strip]:
    """Measure the model as it is now, write its file, and write the report beside it.

    Sliders of the file that is replaced keep the names that were given to them (`take_over`); which
    names are lost is logged.

    Args:
        path: of the model file, in the run's folder.
        source, command: the data and the command of the run, for the record.

    Returns:
        The samples of this step, with the model's sliders.

    Raises:
        NothingFound: no directions where the present file has some; it stays.
    """
    from .assemble import assemble, describe_run, evaluation_images
    from .report.report import write_report
    from .report.samples import write_samples
    from .report.verdict import no_sliders

    config, planned = trainer.config, trainer.run_schedule.planned
    facts = describe_run(
        config,
        source=source,
        num_images=len(trainer.images),
        num_held_out=0 if trainer.held_out is None else len(trainer.held_out),
        step=trainer.step,
        seconds=trainer.seconds,
        command=command,
        device=trainer.device,
        planned_steps=planned if planned < trainer.run_schedule.length else None,
    )
    facts = trainer.describe(facts)
    evaluated = evaluation_images(source, config, trainer.images, trainer.held_out)
    model = assemble(
        trainer.averaged, config, trainer.images, facts, evaluated, log, trainer.wide_codes
    )
    if not model.directions and not config.loop.copilot_only:
        _check_found(path, trainer)
    model = _write(path, trainer, model, log)
    useless = no_sliders(model)
    if useless is not None:
        log(f"Note: {useless.text} With more steps the same run continues.")
    log("Drawing samples for the report.")
    samples = write_samples(trainer, path.parent, model.directions)
    log(f"Report: {write_report(path.parent, model, samples)}")
    return samples
