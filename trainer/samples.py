"""A sheet of pictures that shows how a run is doing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, encode, preview
from comfyui_cldis.editing.sheet import Row, contact_sheet

from .batches import to_tensor
from .export import measure_statistics
from .loop import Trainer

NUM_COLUMNS = 8
NUM_ROWS = 10
LARGEST_AMOUNT = 2.0


def draw_samples(trainer: Trainer, num_steps: int = 10):
    """A PIL picture: originals, reconstructions with random and with inverted noise, the
    co-pilot's preview, and traversals of the latents of largest spread, noise kept.
    """
    networks = trainer.average.module
    statistics, _ = measure_statistics(networks, trainer.images[:1024])
    model = EditableModel(networks, trainer.schedule, statistics, ())
    chosen = np.linspace(0, len(trainer.images) - 1, NUM_COLUMNS).round().astype(int)
    images = to_tensor(trainer.images[chosen])  # the pipeline moves them to the networks
    latent = encode(model, images, inversion_steps=num_steps)
    rows = [
        Row("original", images),
        Row("random noise", decode(model, latent, num_steps=num_steps, seed=0)),
        Row("inverted noise", decode(model, latent, num_steps=num_steps)),
        Row("co-pilot", preview(model, latent)),
    ]
    amounts = torch.linspace(-LARGEST_AMOUNT, LARGEST_AMOUNT, NUM_COLUMNS)
    one = latent[:1]
    for axis in statistics.std.argsort(descending=True)[:NUM_ROWS].tolist():
        z = one.z.repeat(NUM_COLUMNS, 1)
        z[:, axis] += amounts * statistics.std[axis]
        moved: Latent = one.repeat(NUM_COLUMNS).with_z(z)
        rows.append(Row(f"axis {axis}", decode(model, moved, num_steps=num_steps)))
    return contact_sheet(rows, [""] * NUM_COLUMNS)


def write_samples(trainer: Trainer, folder: Path) -> Path:
    """Save the sheet as samples/step_000000.png."""
    path = folder / "samples" / f"step_{trainer.step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    draw_samples(trainer).save(path)
    return path
