"""The library for Python users: a model as one object, images in every form (docs/python.md)."""

from ..checkpoint import CheckpointError
from ..editing.direction import Direction
from ..editing.latent import Latent
from .model import Model, load_model, sample_images

__all__ = ["CheckpointError", "Direction", "Latent", "Model", "load_model", "sample_images"]
