"""Checkpoint files: one `.safetensors` holds one model, all its facts in the header."""

from .demo import demo_image_paths, demo_model_path
from .file import load_checkpoint, read_header, save_checkpoint
from .header import CheckpointError, Header

__all__ = [
    "CheckpointError",
    "Header",
    "demo_image_paths",
    "demo_model_path",
    "load_checkpoint",
    "read_header",
    "save_checkpoint",
]
