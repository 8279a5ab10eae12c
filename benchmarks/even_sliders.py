"""How even the steps of sliders are: the largest visible step over the smallest, before and after.

    python -m benchmarks.even_sliders [MODEL]

Eight equal steps over the range of each slider, on 16 codes drawn about the mean that the scale was
not measured on; a step is the mean CIELAB change between the previews at its ends.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.directions.even import even_direction
from comfyui_cldis.directions.quality import drawn_latent
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import preview
from comfyui_cldis.imaging.lab import lab_change, to_lab

NUM_STEPS, NUM_CODES = 8, 16


def steps_of(model: EditableModel, direction: Direction, latent: Latent) -> np.ndarray:
    """(8,) mean change of each step over the range."""
    amounts = np.linspace(direction.minimum, direction.maximum, NUM_STEPS + 1)
    shifts = torch.tensor([direction.displacement(float(at)) for at in amounts])
    rows = []
    for z in latent.z:
        lab = to_lab(preview(model, Latent(z + shifts * model.statistics.std)))
        rows.append(lab_change(lab[:-1], lab[1:]).numpy())
    return np.mean(rows, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=demo_model_path())
    model = load_checkpoint(parser.parse_args().model)
    measured, unseen = (drawn_latent(model, NUM_CODES, seed) for seed in (0, 100))
    print("| slider | range | largest over smallest step | even range | largest over smallest |")
    print("|---|---|---|---|---|")
    for direction in model.directions:
        even = even_direction(model, measured, direction)
        cells = [direction.name]
        for each in (direction, even):
            steps = steps_of(model, each, unseen)
            cells += [
                f"{each.minimum:+.2f} to {each.maximum:+.2f}",
                f"{max(steps) / min(steps):.2f}",
            ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
