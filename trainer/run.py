"""A run from its settings to the exported model: what the command and the ComfyUI node share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from comfyui_cldis.wording import printable

from .config.adapt import AdaptConfig
from .config.reproduce import adapting_command, training_command
from .config.settings import TrainConfig
from .data import BUILT_IN_SOURCES, Split, open_images, write_report
from .data.cache import remove_unfinished
from .data.sources import require_source
from .data.split import describe_split, split_images
from .errors import NotFinite, NothingFound, OutputInData, TooFewSteps
from .export import MODEL_NAME, export, is_export_of
from .lock import locked
from .monitor.run_log import RunLog
from .navigation.search import check_packages
from .report import REPORT_NAME
from .training.adapt import AdaptTrainer, check_backbone
from .training.backbone import read_backbone
from .training.checkpoint import (
    as_trained,
    check_config,
    describe_kept,
    load_state,
    state_files,
    write_config,
)
from .training.distributed import choose_device, open_processes
from .training.fingerprint import Fingerprint
from .training.record import TrainingRecord
from .training.signals import stopped_with
from .training.trainer import Trainer, check_images
from .training.wide_codes import open_wide_codes, remove_other_codes

logger = logging.getLogger("trainer")


class Stopped(NamedTuple):
    """What a stop before or after the steps lost, and how to go on: a text for each time.

    Attributes:
        reading, encoding: of the images.
        measuring: of the model, with a place for the step.
    """

    reading: str
    encoding: str
    measuring: str


TRAINING_STOPPED = Stopped(
    "Stopped while the images were read; no training is lost. Start the same run again to read "
    "them and resume.",
    "Stopped while the images were encoded; what is done is kept. Start the same run again to "
    "encode the rest.",
    "Stopped while the model was measured. It is saved at step {}; start the same run again to "
    "measure it and write its file.",
)
EXPORT_STOPPED = Stopped(
    "Stopped while the images were read; nothing is lost. Export the run again to read them and "
    "write its model file.",
    "Stopped while the images were encoded; what is done is kept. Export the run again to encode "
    "the rest.",
    "Stopped while the model was measured. The run is saved at step {}; export it again to measure "
    "it and write its model file.",
)


@dataclass(frozen=True)
class RunSettings:
    """What to train, from what, and where to put it: the settings object for Python users.

    ```python
    from pathlib import Path
    from trainer.config import load_preset
    from trainer.run import RunSettings, train

    config = load_preset("cpu64").with_values({"steps": 2000, "feedback.parts": []})
    outcome = train(RunSettings("photos", Path("runs/photos"), config))
    print(outcome.model)  # runs/photos/model.safetensors; the same call resumes a stopped run
    ```

    Attributes:
        data: a folder or .zip of images, a factor file, or one of `BUILT_IN_SOURCES`; kept as text.
        output: folder of the run; kept as a Path.
        config: model, losses and length of the run: a preset, or one with other values.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        preset: name of the preset, if it is a bundled one, for the record.
        use_tensorboard: write TensorBoard files.
        cache: folder of the decoded images; None: within `output`.
        backbone: file of the imported model, of an adaptation (`AdaptConfig`).

    Raises:
        TypeError: a path or a configuration of another type.
        ValueError: no device, "cuda" where there is no usable GPU, or a backbone without an
            `AdaptConfig`, or the other way round.
    """

    data: str
    output: Path
    config: TrainConfig
    device: str = "cpu"
    preset: str = ""
    use_tensorboard: bool = True
    cache: Path | None = None
    backbone: Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.config, TrainConfig):
            raise TypeError(
                f"config is a {type(self.config).__name__}. Give a TrainConfig, such as "
                "load_preset returns."
            )
        object.__setattr__(self, "data", os.fspath(self.data))
        object.__setattr__(self, "output", Path(self.output))
        object.__setattr__(self, "device", choose_device(self.device))
        if isinstance(self.config, AdaptConfig) != (self.backbone is not None):
            raise ValueError(
                "A backbone and an AdaptConfig go together, and one of them is missing. Give both, "
                "or neither."
            )

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
        if isinstance(self.config, AdaptConfig) and self.backbone is not None:
            name = printable(self.backbone.name)
            return adapting_command(self.config, name, self.source_name, self.preset)
        return training_command(self.config, self.source_name, self.preset)


@dataclass(frozen=True)
class Outcome:
    """What became of a run: whether it reached its last step, where, and its model file if so."""

    finished: bool
    step: int
    model: Path | None


def train(
    settings: RunSettings,
    log: Callable[[str], None] = logger.info,
    *,
    events: TextIO | None = None,
    on_record: Callable[[TrainingRecord], None] | None = None,
    on_image: Callable[[str, Any], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Start or resume a run and take it as far as it goes; a finished one is exported.

    A finished run whose model file was written with other settings (`EXPORT_SETTINGS`), or is
    missing, gets its model file and report anew.

    Args:
        log: gets one sentence at a time about what happens; the logger "trainer" if left out.
        events: a stream that gets one line of JSON per record, for programs.
        on_record, on_image: called with each record of the statistics and each sample image.
        should_stop: asked before each step.

    Raises:
        ValueError, FileNotFoundError: settings or data that cannot be used.
        NothingFound: a search that found nothing would replace a model file that has directions.
        OSError: the output folder cannot be written.
        FloatingPointError: a loss is not finite.
        KeyboardInterrupt: stopped before or after the steps; its text says how to resume.
    """
    check_places(settings)
    check_packages(settings.config.directions)
    with locked(settings.output):
        try:
            return _train(settings, log, events, on_record, on_image, should_stop)
        except NotFinite as error:
            raise NotFinite(error.fact, describe_kept(settings.output)) from error


def _train(
    settings: RunSettings,
    log: Callable[[str], None],
    events: TextIO | None,
    on_record: Callable[[TrainingRecord], None] | None,
    on_image: Callable[[str, Any], None] | None,
    should_stop: Callable[[], bool] | None,
) -> Outcome:
    from .report.checks import check_settings

    config, folder = as_trained(settings.output, settings.config), settings.output
    settings = replace(settings, config=config)
    trainer, resumed = open_run(settings, log)
    is_main = trainer.accelerator.is_main_process
    if not is_main:
        log = _silence
    for finding in check_settings(config.to_dict()):
        log(finding.text)
    model_path = folder / MODEL_NAME
    is_complete = is_export_of(model_path, trainer) and (folder / REPORT_NAME).is_file()
    if trainer.step > config.steps:
        exported = model_path if is_complete else None
        raise TooFewSteps(folder, trainer.step, config.steps, exported)
    if trainer.step == config.steps:
        if is_complete:
            log(f"This run is finished: {model_path} (step {trainer.step}).")
            return Outcome(True, trainer.step, model_path)
        log("This run has done all its steps; its model file and report are written anew.")
    else:
        if resumed:
            log(f"Resuming at step {trainer.step} of {config.steps}.")
            if trainer.run_schedule.before and trainer.step == trainer.run_schedule.changed_at:
                log(trainer.run_schedule.describe_change(trainer.config))
        if note := trainer.compile():
            log(note)
        if not _train_steps(trainer, settings, events, on_record, on_image, should_stop):
            log(f"Stopped and saved at step {trainer.step}. Start the same run again to resume.")
            return Outcome(False, trainer.step, None)
    if is_main:
        with stopped_with(TRAINING_STOPPED.measuring.format(trainer.step)):
            try:
                samples = export(trainer, model_path, settings.source, settings.command, log)
            except NothingFound as error:  # config.json tells how the file was made
                values = check_config(folder, config, settings.source, settings.backbone)
                write_config(folder, {**values, "directions": error.before})
                raise
        if on_image is not None:
            for name, image in samples:
                on_image(name, image)
    trainer.accelerator.wait_for_everyone()
    return Outcome(True, trainer.step, model_path)


def _train_steps(
    trainer: Trainer,
    settings: RunSettings,
    events: TextIO | None,
    on_record: Callable[[TrainingRecord], None] | None,
    on_image: Callable[[str, Any], None] | None,
    should_stop: Callable[[], bool] | None,
) -> bool:
    """Do the steps that are left and log them; False when the run was stopped before its end."""
    from .report.samples import write_samples

    config, folder = settings.config, settings.output
    if not trainer.accelerator.is_main_process:
        return trainer.run(folder, lambda record: None, None, should_stop)
    with RunLog(
        folder,
        trainer.step,
        config.steps,
        use_tensorboard=settings.use_tensorboard,
        events=events,
        has_capacity=config.loop.has_capacity,
    ) as run_log:

        def on_log(record: TrainingRecord) -> None:
            run_log.write(record, trainer.warm_since)
            if on_record is not None:
                on_record(record)

        def on_sample(run: Trainer) -> None:
            if run.step == config.steps:
                return  # the export draws the last ones, with the names of the sliders
            for name, image in write_samples(run, folder):
                run_log.image(name, image, run.step)
                if on_image is not None:
                    on_image(name, image)

        return trainer.run(folder, on_log, on_sample, should_stop)


def open_run(
    settings: RunSettings,
    log: Callable[[str], None] = logger.info,
    *,
    other_images: bool = False,
) -> tuple[Trainer, bool]:
    """Open the data and the newest state of a run; True when there was one.

    Nothing of a run that is there is written before its settings and images have been accepted.

    Args:
        other_images: accept images that are not those of the run, to export it.

    Raises:
        ValueError, FileNotFoundError: settings or data that cannot be used, or not with this run.
    """
    config, folder = settings.config, settings.output
    stopped = EXPORT_STOPPED if other_images else TRAINING_STOPPED
    require_source(settings.data)
    process = open_processes(settings.device)
    values: dict[str, Any] = {}
    with process.main_process_first():  # it decodes the images; the others map the result
        if process.is_main_process:
            values = check_config(folder, config, settings.source, settings.backbone)
            if settings.cache is None:  # the run's own
                remove_unfinished(folder / "cache")
        with stopped_with(stopped.reading):
            images = open_images(
                settings.data,
                config.model.image_size,
                cache_dir=settings.cache or folder / "cache",
                num_images=config.num_images or None,
                seed=config.seed,
                channels=config.model.in_channels,
                resize=config.resize,
                # a run that has begun keeps to its images, and so do the other processes, and the
                # runs that share a cache
                retry_failed=process.is_main_process
                and settings.cache is None
                and not state_files(folder),
            )
    split = split_images(settings.data, images, config.held_out, config.seed)
    if process.is_main_process:
        for sentence in (
            images.report.describe(),
            *describe_split(settings.data, split, config.held_out),
        ):
            log(sentence)
    fingerprint = Fingerprint(split.training)
    if isinstance(config, AdaptConfig) and not other_images:
        found = load_state(folder)
        if found is not None:  # before all images are encoded
            check_images(found[0], fingerprint)
    say = log if process.is_main_process else _silence
    trainer = _make_trainer(settings, split, say, stopped)
    trainer.fingerprint = fingerprint  # of the same images, which are read once
    damaged = trainer.resume(folder, other_images=other_images)
    if other_images and trainer.has_other_images:
        trainer.held_out = None  # the present hold-out may have been trained on
        log(
            "Note: the images are not those the run was started with. Statistics, directions and "
            "quality are measured on the present ones."
        )
    elif process.is_main_process and trainer.step <= config.steps:
        write_config(folder, values)
        write_report(images, folder)
    if process.is_main_process and not trainer.has_other_images:
        is_own = settings.cache is None and not other_images
        if is_own and isinstance(trainer.wide_codes, np.memmap):
            remove_other_codes(trainer.wide_codes)
        images.remove_older()
    if process.is_main_process:
        _ = trainer.fingerprint.text  # read now, not when a signal waits for the first state
    for sentence in damaged or []:
        log(f"{sentence} Resuming from the state before it.")
    return trainer, damaged is not None


def _make_trainer(
    settings: RunSettings, split: Split, log: Callable[[str], None], stopped: Stopped
) -> Trainer:
    """A run at its beginning; of an adaptation, with the codes of its backbone."""
    config, device = settings.config, settings.device
    if not isinstance(config, AdaptConfig):
        return Trainer(config, split.training, device, split.held_out)
    assert settings.backbone is not None
    backbone = read_backbone(settings.backbone)
    check_backbone(config, backbone)
    folder = settings.cache or settings.output / "cache"
    with open_processes(device).main_process_first(), stopped_with(stopped.encoding):
        codes = open_wide_codes(
            backbone, split.training, folder, flip=config.flip, device=device, log=log
        )
    return AdaptTrainer(config, backbone, codes, split.training, device, split.held_out)


def check_places(settings: RunSettings) -> None:
    """Refuse what can be refused before a folder is made.

    Raises:
        FileNotFoundError: there are no such images.
        ValueError: the run would write its own images among those that it trains on.
    """
    require_source(settings.data)
    if isinstance(settings.config, AdaptConfig) and settings.backbone is not None:
        check_backbone(settings.config, read_backbone(settings.backbone))
    data, output = Path(settings.data).resolve(), settings.output.resolve()
    if settings.data not in BUILT_IN_SOURCES and data.is_dir() and output.is_relative_to(data):
        raise OutputInData(settings.output, settings.data)


def export_stopped(settings: RunSettings, log: Callable[[str], None] = logger.info) -> Path:
    """Export a run that is not finished, at the state it was stopped in.

    Raises:
        ValueError: no state in the folder, or a training that uses it (OutputTaken).
    """
    if load_state(settings.output) is None:
        raise ValueError(
            f"{settings.output} holds no training state. Give the output folder of a run."
        )
    path = settings.output / MODEL_NAME
    with locked(settings.output):
        trainer, _ = open_run(settings, log, other_images=True)
        with stopped_with(EXPORT_STOPPED.measuring.format(trainer.step)):
            export(trainer, path, settings.source, settings.command, log)
    return path


def _silence(text: str) -> None:
    """Log nothing: another process does."""
