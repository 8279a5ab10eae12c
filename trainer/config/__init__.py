"""Settings of a training run: presets, single settings, and the command that made a run."""

from .settings import LoopConfig, TrainConfig, load_preset, preset_names

__all__ = ["LoopConfig", "TrainConfig", "load_preset", "preset_names"]
