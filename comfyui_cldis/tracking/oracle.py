"""A renderer whose factors are known, to try the score on: scenes of a lit ball before a wall.

Five factors, each standard normal and turned into a uniform property: hue of the wall, hue of the
ball, position across and down, size. The code is any linear mix of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FACTORS = ("wall hue", "ball hue", "x", "y", "size")
HUES = 0.75  # of the circle, so that the two ends differ


class SceneGenerator:
    """A `Generator` of scenes. A code's rows say how far each factor moves with it.

    Args:
        mixing: (N, 5), factors per code; orthonormal rows are a rotation, a row of zeros is a dead
            code, two equal rows are a duplicate.
        num_bases, seed: how many base scenes, and which; they do not depend on the mixing.
        size: pixels of the square images.
    """

    def __init__(
        self, mixing: Tensor, *, num_bases: int = 8, seed: int = 0, size: int = 64
    ) -> None:
        if mixing.dim() != 2 or mixing.shape[1] != len(FACTORS):
            raise ValueError(
                f"The mixing has shape {tuple(mixing.shape)}; expected (N, {len(FACTORS)})."
            )
        self.mixing = mixing.float()
        self.size = size
        generator = torch.Generator().manual_seed(seed)
        self.factors = torch.randn(num_bases, len(FACTORS), generator=generator)

    @property
    def num_bases(self) -> int:
        return len(self.factors)

    @property
    def num_codes(self) -> int:
        return len(self.mixing)

    def decode(self, items: Tensor, shifts: Tensor) -> Tensor:
        return draw_scenes(self.factors[items] + shifts @ self.mixing, self.size)

    def coverage(self, seed: int) -> float:
        return 1.0


def rotation(degrees: float, seed: int, size: int = len(FACTORS)) -> Tensor:
    """A rotation (size, size) about random planes, the fastest of which turns by `degrees`."""
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(seed)).double()
    skew = noise - noise.T
    skew = skew / torch.linalg.matrix_norm(skew, 2)
    return torch.matrix_exp(skew * math.radians(degrees)).float()


def draw_scenes(factors: Tensor, size: int) -> Tensor:
    """Scenes (n, 3, size, size) in [-1, 1] of standard normal factors (n, 5); edges are smooth."""
    uniform = 0.5 * (1 + torch.erf(factors.float() / math.sqrt(2)))  # (n, 5)
    wall_hue, ball_hue, x, y, radius = uniform[:, :, None, None].unbind(1)  # (n, 1, 1) each
    at = (torch.arange(size) + 0.5) / size
    down, across = torch.meshgrid(at, at, indexing="ij")
    radius = 0.12 + 0.13 * radius
    right, below = across - (0.3 + 0.4 * x), down - (0.3 + 0.4 * y)  # (n, size, size)
    inside = (0.5 - (torch.hypot(right, below) - radius) * size).clamp(0, 1)[:, None]
    light = 1 - 0.35 * ((right + below) / radius).clamp(-1, 1)
    wall = _hsv(HUES * wall_hue, 0.5, 0.85 * (1 - 0.25 * down))
    ball = _hsv(HUES * ball_hue, 0.85, 0.75 * light)
    return (wall + (ball - wall) * inside).clamp(0, 1) * 2 - 1


def _hsv(hue: Tensor, saturation: float, value: Tensor) -> Tensor:
    """Colours (n, 3, size, size) in [0, 1]; hue (n, 1, 1) in turns, value of the image's size."""
    corner = (hue[:, None] * 6 + torch.tensor([5.0, 3.0, 1.0])[:, None, None]) % 6  # (n, 3, 1, 1)
    ramp = torch.minimum(corner, 4 - corner).clamp(0, 1)
    value = value.expand(len(hue), *value.shape[-2:])[:, None]
    return value * (1 - saturation * ramp)
