"""What a run logs while it trains: statistics, progress, TensorBoard, and events for programs."""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from comfyui_cldis.atomic_write import replacing

from ..training.record import NUMBERS, TrainingRecord
from .metrics_file import (
    STATS_NAME,
    append_record,
    drop_records_after,
    images_per_second,
    seconds_per_step,
)
from .progress import Progress, open_display
from .tensorboard import open_tensorboard

if TYPE_CHECKING:
    from PIL import Image

SAMPLES_NAME = "samples"
SPEED_RECORDS = 20


class RunLog:
    """Everything a run writes down about itself; a context manager.

    Statistics go to `folder`/stats.jsonl and, unless switched off, to `folder`/tensorboard; what
    an interrupted run logged beyond `first_step` is dropped from both. Progress goes to stderr.

    Args:
        folder: the folder of the run; it exists.
        first_step: the step the run starts or resumes from.
        num_steps: steps of the whole run.
        use_tensorboard: write for TensorBoard if the package is there.
        has_capacity: whether C plays a part; without one only stats.jsonl has it.
        events: a text stream for a program that watches the run, such as stdout: one JSON object
            per line, {"event": "step", "step", "steps", "images_per_sec", "eta_sec", and the
            numbers of the record} or {"event": "image", "name", "step", "path"}. What is
            not known, or not a finite number, is null. Images are saved for it in
            `folder`/samples.
    """

    def __init__(
        self,
        folder: Path,
        first_step: int,
        num_steps: int,
        *,
        use_tensorboard: bool = True,
        events: TextIO | None = None,
        has_capacity: bool = True,
    ) -> None:
        self.folder = folder
        self.path = folder / STATS_NAME
        self.num_steps = num_steps
        self.events = events
        self.has_capacity = has_capacity
        self.is_warmup = False
        drop_records_after(self.path, first_step)
        self.recent: deque[TrainingRecord] = deque(maxlen=SPEED_RECORDS + 1)
        self.tensorboard = open_tensorboard(folder, first_step) if use_tensorboard else None
        self.display = open_display(num_steps, first_step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.display.close()
        if self.tensorboard is not None:
            self.tensorboard.close()

    def write(self, record: TrainingRecord, since: TrainingRecord) -> None:
        """Take one record in.

        Args:
            since: images and training seconds at which the speed begins to count: those of earlier
                commands, perhaps on another machine, and a slow first step stay out of it.
        """
        append_record(self.path, record)
        if not self.recent:
            self.recent.append(since)
        if self.is_warmup and not record.is_warmup:  # its steps were far quicker
            self.recent = deque([self.recent[-1]], self.recent.maxlen)
        self.is_warmup = record.is_warmup
        self.recent.append(record)
        speed = images_per_second(self.recent[0], record)
        step_time = seconds_per_step(self.recent[0], record)
        eta = None if step_time is None else step_time * max(0, self.num_steps - record.step)
        shown = record if self.has_capacity else replace(record, capacity=None)
        self.display.show(Progress(record.step, self.num_steps, speed, eta, shown))
        if self.tensorboard is not None:
            self.tensorboard.write(shown, speed)
        self._emit(
            {
                "event": "step",
                **dict.fromkeys(NUMBERS),
                **shown.numbers(),
                "steps": self.num_steps,
                "images_per_sec": None if speed is None else round(speed, 2),
                "eta_sec": None if eta is None else round(eta, 1),
            }
        )

    def image(self, name: str, image: Image.Image, step: int) -> None:
        """Show an image in TensorBoard; with events, save it as well and emit its path."""
        if self.tensorboard is not None:
            self.tensorboard.image(name, image, step)
        if self.events is not None:
            file_name = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}_{step:06d}.png"
            path = self.folder / SAMPLES_NAME / file_name
            path.parent.mkdir(exist_ok=True)
            with replacing(path) as temporary:
                image.save(temporary, "PNG")
            self._emit({"event": "image", "name": name, "step": step, "path": str(path.resolve())})

    def _emit(self, event: dict[str, Any]) -> None:
        if self.events is None:
            return
        line = json.dumps(event, allow_nan=False) + "\n"
        try:
            self.events.write(line)
            self.events.flush()
        except (OSError, ValueError) as error:  # the reader went away; the training need not
            self.events = None
            sys.stderr.write(
                f"Nobody reads the events of this run any more ({error}); the training continues. "
                "Stop it with Ctrl+C or SIGTERM, which saves it.\n"
            )
