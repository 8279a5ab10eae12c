"""What the user sees of a training in ComfyUI, and how Cancel reaches it."""

from __future__ import annotations

import sys
from typing import Any

from PIL import Image

from . import host
from .remaining import Remaining


class Watch(host.Progress):
    """Shows a run's steps and samples, and passes on that the user pressed Cancel.

    ComfyUI raises its interrupt out of the progress bar. In the midst of a run that would lose the
    steps since the last saved state, so it is kept until the trainer has stopped by itself.
    """

    def __init__(self, num_steps: int) -> None:
        super().__init__(1, num_steps, use_preview=True)
        self._remaining = Remaining(num_steps, "step")
        self._step = 0
        self._interrupt: Exception | None = None

    def on_record(self, record: Any) -> None:
        self._step = record.step
        self._remaining.show(record.step)
        self._update(None)

    def on_image(self, name: str, image: Image.Image) -> None:
        if self._use_preview:
            largest = getattr(sys.modules.get("latent_preview"), "MAX_PREVIEW_RESOLUTION", 512)
            self._update(("JPEG", image.convert("RGB"), largest))

    def should_stop(self) -> bool:
        if self._interrupt is not None:
            return True
        management = sys.modules.get("comfy.model_management")
        return management is not None and management.processing_interrupted()

    def raise_if_interrupted(self) -> None:
        if self._interrupt is not None:
            raise self._interrupt
        host.raise_if_interrupted()

    def _update(self, preview: tuple[str, Image.Image, int] | None) -> None:
        if self._bar is None:
            return
        management = sys.modules.get("comfy.model_management")
        interrupts = () if management is None else (management.InterruptProcessingException,)
        try:
            self._bar.update_absolute(self._step, self._total, preview)
        except interrupts as interrupt:
            self._interrupt = interrupt
