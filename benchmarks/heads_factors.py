"""Which slider follows which factor of the heads, and what an edit with it changes besides.

    python -m benchmarks.heads_factors [MODEL] [--count 1000] [--seed 2027] [--edited 12]

First table: rank correlation (Spearman) between where the code lies on each direction and each
factor, on heads never trained on. Second: heads are edited by the amounts -1.5 and +1.5 (standard
deviations only where a slider has no scale) with their own noise kept, encoded again, and their
factors read off the code by a linear fit; the mean difference, in standard deviations of each
factor. Third: the same as root mean square over the heads, which also shows what goes one way on
some heads and the other way on others. The model never saw the factors; this only tells people what
the sliders do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.datasets.heads import FACTORS, render_heads, sample_factors
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.pipeline import decode, edit, encode
from trainer.training.batches import to_tensor

AMOUNT = 1.5  # to each side
STEPS = 20


def changes_by_edits(
    model: EditableModel, images: torch.Tensor, edited: int, factors: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """(K, edited, F): how far -AMOUNT to +AMOUNT of each direction moves each factor, in its sd."""
    fit = np.linalg.lstsq(with_one(codes), (factors - factors.mean(0)) / factors.std(0), rcond=None)
    latent = encode(model, images[:edited], inversion_steps=STEPS)
    rows = []
    for direction in model.directions:
        ends = []
        for amount in (-AMOUNT, AMOUNT):
            moved = edit(model, latent, {direction.name: amount})
            again = encode(model, decode(model, moved, num_steps=STEPS), inversion_steps=0)
            ends.append(with_one(again.z.numpy()) @ fit[0])
        rows.append(ends[1] - ends[0])
    return np.stack(rows)


def with_one(codes: np.ndarray) -> np.ndarray:
    return np.concatenate([codes, np.ones((len(codes), 1))], axis=1)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=None)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--edited", type=int, default=12, help="heads of the second table")
    options = parser.parse_args()
    model = load_checkpoint(options.model or demo_model_path())
    factors = sample_factors(options.count, options.seed)
    images = to_tensor(render_heads(factors, model.networks.config.image_size))
    codes = torch.cat([model.networks.encode_semantic(part).mu for part in images.split(100)])
    vectors = torch.tensor([direction.vector for direction in model.directions])
    coordinates = ((codes - model.statistics.mean) / model.statistics.std) @ vectors.pinverse()

    def ranks(values: np.ndarray) -> np.ndarray:
        order = values.argsort(0).argsort(0).astype(float)
        return (order - order.mean(0)) / order.std(0)

    correlation = ranks(coordinates.numpy()).T @ ranks(factors) / options.count
    show("correlation", model, correlation)
    print(f"{'best':22}" + " ".join(f"{value:10.2f}" for value in abs(correlation).max(0)))
    changes = changes_by_edits(model, images, options.edited, factors, codes.numpy())
    show("edits, mean", model, changes.mean(1))
    show("edits, root mean square", model, np.sqrt((changes**2).mean(1)))


def show(title: str, model: EditableModel, table: np.ndarray) -> None:
    print(f"{title:22}" + " ".join(f"{factor.name[:10]:>10}" for factor in FACTORS))
    for direction, row in zip(model.directions, table, strict=True):
        print(f"{direction.name:22}" + " ".join(f"{value:10.2f}" for value in row))


if __name__ == "__main__":
    main()
