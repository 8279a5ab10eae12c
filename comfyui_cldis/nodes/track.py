"""Content tracking: how well a model's directions are disentangled, as a score and a sheet."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from ..editing.framing import frame
from ..tracking import FAST, STAGES, TrackingSettings, track, tracking_table
from ..tracking.settings import DIRECTIONS
from ..tracking.sheet import tracking_sheet
from . import host
from .images import check_images, to_library
from .packages import BASE, TRACKING, require
from .sockets import CATEGORY, LoadedModel, model_input

QUALITIES = {"fast": FAST, "full": TrackingSettings()}
MAXIMUM_SEED = 2**32 - 1


class TrackContent:
    DESCRIPTION = (
        "Scores how well a model's directions are disentangled, without labels: whether each "
        "changes one thing, and another thing than the rest. Draws a sheet of what each one does."
    )
    CATEGORY = CATEGORY
    SEARCH_ALIASES = [
        "content tracking",
        "disentanglement score",
        "optical flow",
        "direction report",
        "model quality",
    ]
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING")
    RETURN_NAMES = ("sheet", "score", "report")
    OUTPUT_TOOLTIPS = (
        "A row for each active direction: five frames, motion, colour change, and where it acts.",
        "The content-tracking score, 0 to 1; not a number when the coverage is unknown.",
        "The score's parts and a line for each direction, as text for Preview as Text.",
    )
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": model_input(),
                "directions": (
                    list(DIRECTIONS),
                    {
                        "default": "axes",
                        "tooltip": (
                            "axes: every dimension of the code, named as the slider that it is. "
                            "model: the model's own directions alone."
                        ),
                    },
                ),
                "quality": (
                    list(QUALITIES),
                    {
                        "default": "fast",
                        "tooltip": (
                            "fast: 6 base images and 4 steps, about a minute on a CPU for the "
                            "bundled model. full: 12 images and 8 steps, several times as long."
                        ),
                    },
                ),
                "seed": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": MAXIMUM_SEED,
                        "tooltip": "Picks the base images. The same seed gives the same score.",
                    },
                ),
            },
            "optional": {
                "image": (
                    "IMAGE",
                    {
                        "tooltip": (
                            "Images such as the model was trained on, at least 2, better 64. "
                            "Without them codes are drawn and the recorded coverage is taken."
                        )
                    },
                ),
            },
        }

    def execute(
        self,
        model: LoadedModel,
        directions: str,
        quality: str,
        seed: int,
        image: Tensor | None = None,
    ) -> tuple[Tensor, float, str]:
        require(BASE, TRACKING)
        settings = dataclasses.replace(QUALITIES[quality], directions=directions)
        images = None
        if image is not None:
            check_images(image)
            config = model.editable.networks.config
            pixels = to_library(image, config.in_channels, model.label)
            rule = model.editable.facts.training.resize
            images, _ = frame(pixels, config.image_size, rule)

        def work(on_fraction):
            def on_progress(stage: str, done: float) -> None:
                on_fraction((STAGES.index(stage) + done) / len(STAGES))

            return track(model.editable, images, settings, seed, on_progress=on_progress)

        result = host.whole(model, settings.num_coverage, work)
        score = math.nan if result.cts is None else result.cts
        sheet = np.asarray(tracking_sheet(result), dtype=np.float32) / 255  # (H, W, 3)
        return host.to_intermediate(torch.from_numpy(sheet)[None]), score, tracking_table(result)
