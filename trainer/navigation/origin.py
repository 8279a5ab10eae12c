"""What a search was begun on: told apart by what was given, not by what was computed from it.

Codes and effects differ in their last digits between machines and numbers of threads, and a search
that was stopped on one goes on on another.
"""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor

from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.imaging.tensors import to_pixels


def origin_of(model: EditableModel, items: str) -> str:
    """Tells a model and base items (`items_of`) from others, in 16 characters.

    A model is known by the statistics of its code, or by its weights where it came without.
    """
    digest = hashlib.sha256(model.fingerprint.encode())
    if not model.fingerprint:
        for name, values in model.networks.state_dict().items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values.detach().float().cpu().numpy()).data)
    digest.update(items.encode())
    return digest.hexdigest()[:16]


def items_of(given: np.ndarray | Tensor) -> str:
    """Tells images from others: uint8, or float in [-1, 1] to eight bits; or codes, bit for bit."""
    if isinstance(given, Tensor):
        given = (to_pixels(given) if given.dim() == 4 else given).cpu().numpy()
    return f"{given.shape}, {hashlib.sha256(np.ascontiguousarray(given).data).hexdigest()}"
