"""From a configuration to the feedback."""

from __future__ import annotations

from comfyui_cldis.model import ModelConfig

from ...config.settings import TrainConfig
from ..losses import Average, alone
from .gradient import Gradient
from .interface import Feedback
from .per_timestep import PerTimestep
from .second_decoder import OnePassUNet, PlainDecoder, SecondDecoder


def build_feedback(config: TrainConfig, average: Average = alone) -> Feedback:
    """The feedback of a run; "per_dimension" needs no more than its signals.

    A second decoder is initialised from torch's global generator: seed it first.

    Args:
        average: mean of a detached value over all processes.
    """
    parts = config.feedback.parts
    if "per_timestep" in parts:
        return PerTimestep()
    if "gradient" in parts:
        return Gradient()
    updates = config.loop.copilot_updates
    if "second_decoder" in parts:
        return SecondDecoder(PlainDecoder(config.model), updates, average)
    if "second_unet" in parts:
        assert isinstance(config.model, ModelConfig)  # of a run that trains its decoder
        unet = OnePassUNet(config.model, config.schedule.num_train_steps - 1)
        return SecondDecoder(unet, updates, average, is_always_trained=False)
    return Feedback()
