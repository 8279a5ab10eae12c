"""TensorBoard: the scalars of a run by group, and its sample images; optional."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from comfyui_cldis.wording import printable

from ..training.record import TrainingRecord

if TYPE_CHECKING:
    from PIL import Image

FOLDER_NAME = "tensorboard"
GROUPS = {
    "loss": (
        "diffusion",
        "distillation",
        "reconstruction",
        "bottleneck",
        "penalty",
        "feedback",
        "embedding",
    ),
    "loop": (
        "capacity",
        "kl",
        "encoder_kl",
        "kl_weight",
        "used",
    ),
    "optimizer": ("gradient_norm", "learning_rate"),
}
GROUP_OF = {key: group for group, keys in GROUPS.items() for key in keys}
PER_DIMENSION = ("kl_per_dimension", "usage_per_dimension")
NOT_CURVES = ("step", "images", "seconds", "planned_steps")  # the axis itself, and its length
TOGETHER = ["loop/capacity", "loop/kl", "loop/encoder_kl"]


class TensorBoardLog:
    """Writes one run to `folder`/tensorboard.

    Args:
        first_step: the step the run resumes from; TensorBoard drops what an interrupted run wrote
            beyond it.

    Raises:
        ImportError: the tensorboard package is missing.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(
            log_dir=str(folder / FOLDER_NAME), purge_step=first_step + 1, flush_secs=30
        )
        self.writer.add_custom_scalars({"closed loop": {"nats": ["Multiline", TOGETHER]}})

    def write(self, record: TrainingRecord, images_per_sec: float | None) -> None:
        """Add every finite number of a record; keys of no known group go to "other"."""
        for key, value in record.numbers().items():
            if value is not None and key not in NOT_CURVES:
                self.writer.add_scalar(f"{GROUP_OF.get(key, 'other')}/{key}", value, record.step)
        if images_per_sec is not None:
            self.writer.add_scalar("speed/images_per_sec", images_per_sec, record.step)
        for key in PER_DIMENSION:
            for index, value in enumerate(getattr(record, key) or ()):
                self.writer.add_scalar(f"{key}/{index:02d}", value, record.step)

    def image(self, name: str, image: Image.Image, step: int) -> None:
        """Add an image under samples/."""
        array = np.asarray(image.convert("RGB"))  # (H, W, 3) uint8
        self.writer.add_image(f"samples/{name}", array, step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        """Write what is still in memory."""
        self.writer.close()


def open_tensorboard(folder: Path, first_step: int) -> TensorBoardLog | None:
    """The TensorBoard log of a run, or None with one sentence on stderr when there can be none.

    That is when tensorboard is missing, or cannot write to the folder because of its name.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        sys.stderr.write(
            f"TensorBoard cannot write to {printable(str(folder))}, whose name is not UTF-8, so no "
            "curves are written for it; stats.jsonl holds all numbers. To have them, choose "
            "another folder.\n"
        )
        return None
    try:
        return TensorBoardLog(folder, first_step)
    except ImportError:
        sys.stderr.write(
            "TensorBoard is not installed, so no curves are written for it; stats.jsonl holds all "
            "numbers. To have them: python -m pip install tensorboard\n"
        )
        return None
