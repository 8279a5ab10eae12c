"""Which slider follows which factor of the heads: absolute correlation on heads never trained on.

    python -m benchmarks.heads_factors [MODEL] [--count 1000] [--seed 2027]

Rank correlation (Spearman) between each direction's coordinate of the code and each factor. The
model never saw the factors; this only tells people what the sliders do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from trainer.batches import to_tensor
from trainer.data.heads import FACTORS, render_heads, sample_factors


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=None)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2027)
    options = parser.parse_args()
    model = load_checkpoint(options.model or demo_model_path())
    factors = sample_factors(options.count, options.seed)
    images = to_tensor(render_heads(factors, model.networks.config.image_size))
    codes = torch.cat([model.networks.encode_semantic(part).mu for part in images.split(100)])
    vectors = torch.tensor([direction.vector for direction in model.directions])
    coordinates = ((codes - model.statistics.mean) / model.statistics.std) @ vectors.T

    def ranks(values: np.ndarray) -> np.ndarray:
        order = values.argsort(0).argsort(0).astype(float)
        return (order - order.mean(0)) / order.std(0)

    correlation = ranks(coordinates.numpy()).T @ ranks(factors) / options.count
    print(" " * 22 + " ".join(f"{factor.name[:10]:>10}" for factor in FACTORS))
    for direction, row in zip(model.directions, correlation, strict=True):
        print(f"{direction.name:22}" + " ".join(f"{value:10.2f}" for value in row))
    print(f"{'best':22}" + " ".join(f"{value:10.2f}" for value in abs(correlation).max(0)))


if __name__ == "__main__":
    main()
