"""A run from its settings to the exported model: what the command and the ComfyUI node share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from comfyui_cldis.wording import printable

from .config.reproduce import training_command
from .config.settings import TrainConfig
from .data import BUILT_IN_SOURCES, ImageSet, Split, hold_out, open_images, write_report
from .data.sources import require_source
from .errors import NotFinite, OutputInData, TooFewSteps
from .lock import locked
from .monitor.run_log import RunLog
from .navigation.search import check_packages
from .training.checkpoint import check_config, describe_kept, load_state, write_config
from .training.record import TrainingRecord
from .training.signals import stopped_with
from .training.trainer import Trainer

if TYPE_CHECKING:
    from .report.samples import Strip

MODEL_NAME = "model.safetensors"
REPORT_NAME = "report.html"
READING_STOPPED = (
    "Stopped while the images were read; no training is lost. Start the same run again to read "
    "them and resume."
)
MEASURING_STOPPED = (
    "Stopped while the model was measured. It is saved at step {}; start the same run again to "
    "measure it and write its file."
)


@dataclass(frozen=True)
class RunSettings:
    """What to train, from what, and where to put it.

    Attributes:
        data: a folder or .zip of images, a factor file, or one of `BUILT_IN_SOURCES`.
        output: folder of the run.
        device: "cpu" or "cuda".
        preset: name of the preset, if it is a bundled one, for the record.
        use_tensorboard: write TensorBoard files.
        cache: folder of the decoded images; None: within `output`.
    """

    data: str
    output: Path
    config: TrainConfig
    device: str = "cpu"
    preset: str = ""
    use_tensorboard: bool = True
    cache: Path | None = None

    @property
    def source(self) -> str:
        """The data, independent of the current folder."""
        return self.data if self.data in BUILT_IN_SOURCES else str(Path(self.data).resolve())

    @property
    def source_name(self) -> str:
        """The data, as it may be written into a model file."""
        return self.data if self.data in BUILT_IN_SOURCES else printable(Path(self.data).name)

    @property
    def command(self) -> str:
        """The command that trains the same model, where the data lie in the current folder."""
        return training_command(self.config, self.source_name, self.preset)


@dataclass(frozen=True)
class Outcome:
    """What became of a run: whether it reached its last step, where, and its model file if so."""

    finished: bool
    step: int
    model: Path | None


def train(
    settings: RunSettings,
    say: Callable[[str], None],
    *,
    events: TextIO | None = None,
    on_record: Callable[[TrainingRecord], None] | None = None,
    on_image: Callable[[str, Any], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Start or resume a run and take it as far as it goes; a finished one is exported.

    Args:
        say: told one sentence at a time what happens.
        events: a stream that gets one line of JSON per record, for programs.
        on_record, on_image: called with each record of the statistics and each sample image.
        should_stop: asked before each step.

    Raises:
        ValueError, FileNotFoundError: settings or data that cannot be used.
        OSError: the output folder cannot be written.
        FloatingPointError: a loss is not finite.
        KeyboardInterrupt: stopped before or after the steps; its text says how to resume.
    """
    check_places(settings)
    check_packages(settings.config.directions)
    with locked(settings.output):
        try:
            return _train(settings, say, events, on_record, on_image, should_stop)
        except NotFinite as error:
            raise NotFinite(error.fact, describe_kept(settings.output)) from error


def _train(
    settings: RunSettings,
    say: Callable[[str], None],
    events: TextIO | None,
    on_record: Callable[[TrainingRecord], None] | None,
    on_image: Callable[[str, Any], None] | None,
    should_stop: Callable[[], bool] | None,
) -> Outcome:
    from .report.checks import check_settings
    from .report.samples import write_samples

    config, folder = settings.config, settings.output
    trainer, resumed = open_run(settings, say)
    is_main = trainer.accelerator.is_main_process
    tell = say if is_main else _silence
    for finding in check_settings(config.to_dict()):
        tell(finding.text)
    model_path = folder / MODEL_NAME
    is_complete = is_export_of(model_path, trainer) and (folder / REPORT_NAME).is_file()
    if trainer.step > config.steps:
        exported = model_path if is_complete else None
        raise TooFewSteps(folder, trainer.step, config.steps, exported)
    if trainer.step == config.steps and is_complete:
        tell(f"This run is finished: {model_path} (step {trainer.step}).")
        return Outcome(True, trainer.step, model_path)
    if resumed:
        tell(f"Resuming at step {trainer.step} of {config.steps}.")
        if trainer.run_schedule.before and trainer.step == trainer.run_schedule.changed_at:
            tell(trainer.run_schedule.describe_change(trainer.config))
    if is_main:
        with RunLog(
            folder,
            trainer.step,
            config.steps,
            use_tensorboard=settings.use_tensorboard,
            events=events,
            has_capacity=config.loop.has_capacity,
        ) as log:

            def on_log(record: TrainingRecord) -> None:
                log.write(record, trainer.warm_since)
                if on_record is not None:
                    on_record(record)

            def on_sample(run: Trainer) -> None:
                if run.step == config.steps:
                    return  # the export draws the last ones, with the names of the sliders
                for name, image in write_samples(run, folder):
                    log.image(name, image, run.step)
                    if on_image is not None:
                        on_image(name, image)

            finished = trainer.run(folder, on_log, on_sample, should_stop)
    else:
        finished = trainer.run(folder, lambda record: None, None, should_stop)
    if not finished:
        tell(f"Stopped and saved at step {trainer.step}. Start the same run again to resume.")
        return Outcome(False, trainer.step, None)
    if is_main:
        with stopped_with(MEASURING_STOPPED.format(trainer.step)):
            samples = export(trainer, settings, model_path, tell)
        if on_image is not None:
            for name, image in samples:
                on_image(name, image)
    trainer.accelerator.wait_for_everyone()
    return Outcome(True, trainer.step, model_path)


def open_run(
    settings: RunSettings, say: Callable[[str], None], *, other_images: bool = False
) -> tuple[Trainer, bool]:
    """Open the data and the newest state of a run; True when there was one.

    Nothing of a run that is there is written before its settings and images have been accepted.

    Args:
        other_images: accept images that are not those of the run, to export it.

    Raises:
        ValueError, FileNotFoundError: settings or data that cannot be used, or not with this run.
    """
    from accelerate import PartialState

    config, folder = settings.config, settings.output
    require_source(settings.data)
    process = PartialState(cpu=settings.device == "cpu")
    values: dict[str, Any] = {}
    with process.main_process_first():  # it decodes the images; the others map the result
        if process.is_main_process:
            values = check_config(folder, config, settings.source)
        with stopped_with(READING_STOPPED):
            images = open_data(settings)
        split = split_data(settings.data, images, config)
    findings = images.report.findings
    if findings is not None and 0 < len(images.images) - 1 <= findings.num_duplicates:
        raise ValueError(
            f"All {len(images.images)} images of {settings.data} are the same, so there is "
            "nothing to learn. Give images that differ."
        )
    if process.is_main_process:
        say(images.report.describe())
        for sentence in describe_split(settings.data, split, config):
            say(sentence)
    trainer = Trainer(config, split.training, settings.device, split.held_out)
    damaged = trainer.resume(folder, other_images=other_images)
    if other_images and trainer.has_other_images:
        trainer.held_out = None  # the present hold-out may have been trained on
        say(
            "Note: the images are not those the run was started with. Statistics, directions and "
            "quality are measured on the present ones."
        )
    elif process.is_main_process and trainer.step <= config.steps:
        write_config(folder, values)
        write_report(images, folder)
    for sentence in damaged or []:
        say(f"{sentence} Going on from the state before it.")
    return trainer, damaged is not None


def check_places(settings: RunSettings) -> None:
    """Refuse what can be refused before a folder is made.

    Raises:
        FileNotFoundError: there are no such images.
        ValueError: the run would write its own images among those that it trains on.
    """
    require_source(settings.data)
    data, output = Path(settings.data).resolve(), settings.output.resolve()
    if settings.data not in BUILT_IN_SOURCES and data.is_dir() and output.is_relative_to(data):
        raise OutputInData(settings.output, settings.data)


def open_data(settings: RunSettings) -> ImageSet:
    """The images of a run, decoded once into the run's own cache."""
    config = settings.config
    return open_images(
        settings.data,
        config.model.image_size,
        cache_dir=settings.cache or settings.output / "cache",
        num_images=config.num_images or None,
        seed=config.seed,
        channels=config.model.in_channels,
        resize=config.resize,
    )


def split_data(data: str, images: ImageSet, config: TrainConfig) -> Split:
    """Hold images out as the configuration asks for it; built-in sets draw others to judge on."""
    if data in BUILT_IN_SOURCES or not config.held_out:
        return Split(images.images, None)
    findings = images.report.findings
    may_repeat = findings is None or findings.num_duplicates > 0
    return hold_out(images.images, config.held_out, config.seed, may_repeat=may_repeat)


def describe_split(data: str, split: Split, config: TrainConfig) -> list[str]:
    """What is held out, in a sentence; nothing about built-in sets."""
    if data in BUILT_IN_SOURCES:
        return []
    if split.held_out is not None:
        return [
            f"{len(split.held_out):,} of them are not trained on: the quality is measured on them "
            "(held_out; 0 trains on all)."
        ]
    why = "held_out is 0" if not config.held_out else "they are too few to hold some out"
    return [f"All of them are trained on ({why}), so the quality is measured on images seen."]


def is_export_of(path: Path, trainer: Trainer) -> bool:
    """Whether the file at `path` was exported from this run at its present step."""
    from comfyui_cldis.checkpoint import read_header

    if not path.is_file():
        return False
    training = read_header(path).facts.training
    return (training.steps, training.seed) == (trainer.step, trainer.config.seed)


def export(
    trainer: Trainer,
    settings: RunSettings,
    path: Path,
    say: Callable[[str], None],
) -> Sequence[Strip]:
    """Measure the model as it is now, write its file, and write the report beside it.

    Returns:
        The samples of this step, with the model's sliders.
    """
    import torch

    from comfyui_cldis.checkpoint import save_checkpoint

    from .export import assemble, describe_run, evaluation_images
    from .report.report import write_report as write_run_report
    from .report.samples import write_samples
    from .report.verdict import no_sliders

    config, planned = trainer.config, trainer.run_schedule.planned
    facts = describe_run(
        config,
        source=settings.source,
        num_images=len(trainer.images),
        num_held_out=0 if trainer.held_out is None else len(trainer.held_out),
        step=trainer.step,
        seconds=trainer.seconds,
        command=settings.command,
        device=trainer.device,
        planned_steps=planned if planned < trainer.run_schedule.length else None,
    )
    evaluated = evaluation_images(settings.source, config, trainer.images, trainer.held_out)
    model = assemble(trainer.average.module, config, trainer.images, facts, evaluated, say)
    save_checkpoint(path, model, dtype=torch.float16)
    useless = no_sliders(model)
    if useless is not None:
        say(f"Note: {useless.text} With more steps the same run resumes.")
    say("Drawing samples for the report.")
    samples = write_samples(trainer, settings.output, model.directions)
    report = write_run_report(settings.output, model, samples)
    say(f"Report: {report}")
    return samples


def export_stopped(settings: RunSettings, say: Callable[[str], None]) -> Path:
    """Export a run that is not finished, at the state it was stopped in.

    Raises:
        ValueError: no state in the folder.
    """
    if load_state(settings.output) is None:
        raise ValueError(
            f"{settings.output} holds no training state. Give the output folder of a run."
        )
    trainer, _ = open_run(settings, say, other_images=True)
    path = settings.output / MODEL_NAME
    with stopped_with(MEASURING_STOPPED.format(trainer.step)):
        export(trainer, settings, path, say)
    return path


def _silence(text: str) -> None:
    """Say nothing: another process does."""
