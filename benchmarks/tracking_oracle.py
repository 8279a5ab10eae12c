"""Does the content-tracking score rank codes as their true factors do? Mixed codes of renderers.

    python -m benchmarks.tracking_oracle [--renderer scenes|sprites|heads] [--version 2]
        [--bases 8] [--size 48]

Two kinds of codes. `turn`: the factors turned by up to 90 degrees about random planes, then put
into another order with random signs; the same mix on every image. `swirl`: the factors turned
about random planes by an angle that grows with their length, so that each image has another mix
while the codes stay independent and normal. The truth is D (DCI's formula) of the squared
derivatives of factors by codes, mean over images: 1 when each code is one factor.
Prints a row for each code, then Spearman's rank correlation of each part with the truth.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional

from comfyui_cldis.datasets.heads import FACTORS as HEAD_FACTORS
from comfyui_cldis.datasets.heads import render_heads
from comfyui_cldis.tracking import TrackingSettings, track_renderer
from comfyui_cldis.tracking.formulas import importance
from comfyui_cldis.tracking.oracle import FACTORS as SCENE_FACTORS
from comfyui_cldis.tracking.oracle import draw_scenes, rotation
from comfyui_cldis.tracking.settings import VERSIONS
from trainer.training.batches import to_tensor

DEGREES = (0, 8, 16, 24, 34, 45, 60, 90)
SWIRLS = (0.25, 0.5, 1.0, 2.0, 4.0)
PARTS = ("cts", "purity", "compactness", "distinctness", "consistency", "persistence")
NUM_TRUTH = 400  # images that the truth of a swirl is the mean of

Mix = Callable[[Tensor], Tensor]  # codes (n, K) -> factors (n, K)


def draw_heads(factors: Tensor, size: int) -> Tensor:
    """Heads of standard normal factors, each turned into a uniform one within its range."""
    uniform = (0.5 * (1 + torch.erf(factors.double() / 2**0.5))).numpy()
    low = np.array([factor.minimum for factor in HEAD_FACTORS])
    high = np.array([factor.maximum for factor in HEAD_FACTORS])
    return to_tensor(render_heads(low + uniform * (high - low), size))


def draw_sprites(factors: Tensor, size: int) -> Tensor:
    """White ellipses on black (n, 3, size, size): place across and down, size, turn, length.

    Every factor acts on the edge of one thing, which lies elsewhere on each image.
    """
    uniform = 0.5 * (1 + torch.erf(factors.float() / math.sqrt(2)))
    x, y, radius, turn, length = uniform[:, :, None, None].unbind(1)  # (n, 1, 1) each
    at = (torch.arange(2 * size) + 0.5) / (2 * size)  # drawn twice as large: smooth edges
    down, across = torch.meshgrid(at, at, indexing="ij")
    right, below = across - (0.25 + 0.5 * x), down - (0.25 + 0.5 * y)
    radius, angle, ratio = 0.08 + 0.1 * radius, 0.9 * math.pi * (turn - 0.5), 1.2 + length
    along = (angle.cos() * right + angle.sin() * below) / ratio.sqrt()
    aside = (angle.cos() * below - angle.sin() * right) * ratio.sqrt()
    inside = (0.5 - (torch.hypot(along, aside) - radius) * size).clamp(0, 1)
    return functional.avg_pool2d(inside[:, None], 2).expand(-1, 3, -1, -1) * 2 - 1


RENDERERS = {
    "scenes": (draw_scenes, len(SCENE_FACTORS)),
    "sprites": (draw_sprites, 5),
    "heads": (draw_heads, len(HEAD_FACTORS)),
}


def turn(degrees: float, seed: int, count: int) -> tuple[Mix, Mix]:
    """Codes to factors and back; in another order and with random signs at 0 degrees as well."""
    generator = torch.Generator().manual_seed(1000 * seed + int(degrees))
    order = torch.randperm(count, generator=generator)
    signs = torch.randint(2, (count, 1), generator=generator) * 2 - 1
    matrix = rotation(degrees, seed, count)[order] * signs
    return lambda codes: codes @ matrix, lambda factors: factors @ matrix.T


def swirl(strength: float, seed: int, count: int) -> tuple[Mix, Mix]:
    """Likewise. Lengths are kept, so that normal codes give normal factors."""
    noise = torch.randn(count, count, generator=torch.Generator().manual_seed(seed))
    skew = (noise - noise.T) / torch.linalg.matrix_norm(noise - noise.T, 2)

    def turned(values: Tensor, sign: float) -> Tensor:
        angles = 2 * sign * strength * (values.norm(dim=1) / count**0.5 - 1)
        matrices = torch.matrix_exp(skew * angles[:, None, None])
        return torch.einsum("nij,nj->ni", matrices, values)

    return lambda codes: turned(codes, 1.0), lambda factors: turned(factors, -1.0)


def true_purity(mix: Mix, back: Mix, count: int) -> float:
    codes = back(torch.randn(NUM_TRUTH, count, generator=torch.Generator().manual_seed(9)))
    step = 1e-3
    slopes = [
        (mix(codes + step * e) - mix(codes - step * e)) / (2 * step) for e in torch.eye(count)
    ]
    squares = torch.stack(slopes, dim=1).double().square().mean(0)  # (codes, factors)
    return importance(squares.sqrt().numpy()).purity


def all_codes(count: int) -> Iterator[tuple[str, float, int, tuple[Mix, Mix]]]:
    for seed in range(3):
        for degrees in DEGREES[(seed > 0) :]:  # at 0 all seeds are the same
            yield "turn", degrees, seed, turn(degrees, seed, count)
    for seed in range(2):
        for strength in SWIRLS:
            yield "swirl", strength, seed, swirl(strength, seed, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", choices=RENDERERS, default="scenes")
    parser.add_argument(
        "--version", type=int, choices=VERSIONS, default=VERSIONS[0], help="of the score"
    )
    parser.add_argument("--bases", type=int, default=8)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--flow", default="dis")
    parser.add_argument("--target", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    render, count = RENDERERS[options.renderer]
    settings = TrackingSettings(
        num_bases=options.bases,
        flow=options.flow,
        target_change=options.target,
        version=options.version,
    )
    factors = torch.randn(
        options.bases, count, generator=torch.Generator().manual_seed(options.seed)
    )
    print("kind  amount seed  truth " + " ".join(f"{part:>12}" for part in PARTS) + "  CPU sec")
    kinds, truth, found = [], [], []
    for kind, amount, seed, (mix, back) in all_codes(count):
        began = time.process_time()
        score = track_renderer(
            lambda codes, mix=mix: render(mix(codes), options.size),
            back(factors),
            settings,
            options.seed,
            coverage=1.0,
        )
        seconds = time.process_time() - began
        kinds.append(kind)
        truth.append(true_purity(mix, back, count))
        found.append([getattr(score, part) for part in PARTS])
        figures = " ".join(f"{value:12.3f}" for value in found[-1])
        print(f"{kind:5} {amount:6} {seed:4}  {truth[-1]:.3f} {figures} {seconds:8.1f}", flush=True)
    table, ideal = np.array(found), np.array(truth)
    for name in ("turn", "swirl", "all"):
        rows = np.array([name in (kind, "all") for kind in kinds])
        ranks = [spearmanr(ideal[rows], column).statistic for column in table[rows].T]
        print(f"rank correlation, {name:5} " + " ".join(f"{rank:12.2f}" for rank in ranks))


if __name__ == "__main__":
    main()
