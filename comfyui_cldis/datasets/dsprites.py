"""dSprites-equivalent: a white sprite on black, with the factors and the grid of dSprites.

Five factors, 3 x 6 x 40 x 32 x 32 = 737,280 combinations, in the order of Matthey et al. 2017,
whose colour, always white, is left out. Two differences are ours. Edges are antialiased, where
theirs are black or white. Orientation goes round in 40 equal steps, where theirs has the first
angle twice (0 and 2 pi); so a square comes back after 10 steps and an ellipse after 20, and such
images repeat.
"""

from __future__ import annotations

import math

import numpy as np

from .names import DSPRITES_NAME
from .pixels import resize_pixels
from .space import FactorSpace, check_image_size

DSPRITES_VERSION = 1  # raise it when the same factors give another image
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 8, 512

SPACE = FactorSpace(
    ("shape", "scale", "orientation", "position_x", "position_y"), (3, 6, 40, 32, 32)
)
SHAPES = ("square", "ellipse", "heart")
SCALES = np.linspace(0.5, 1, 6)
ANGLES = 2 * np.pi * np.arange(40) / 40

# In pixels of a 64-pixel image: a sprite of scale 1 has about this radius, and its centre goes
# from 16 to 47 in steps of one.
_GRID = 64
_UNIT = 8.6
_WINDOW = 32  # each sprite is drawn once in a window of this side and then only placed
_SAMPLES = 4  # per pixel along each axis


class DSprites:
    """Draws dSprites-equivalent images (n, S, S, 1) from levels (n, 5)."""

    name = DSPRITES_NAME
    space = SPACE
    channels = 1

    def __init__(self, image_size: int) -> None:
        """Prepares images of S = `image_size`; each of 18 sprites is drawn on first use.

        They are drawn at the next multiple of 64 pixels, where every position is a whole pixel,
        and averaged down to S.

        Raises:
            ValueError: a size out of range.
        """
        check_image_size(image_size, MIN_IMAGE_SIZE, MAX_IMAGE_SIZE, self.name)
        self.image_size = image_size
        self._zoom = math.ceil(image_size / _GRID)
        side = _WINDOW * self._zoom
        # Zeros take no memory until they are written.
        self._sprites = np.zeros((*self.space.sizes[:3], side, side), dtype=np.uint8)
        self._is_drawn = np.zeros(self.space.sizes[:2], dtype=bool)

    def images(self, factors: np.ndarray) -> np.ndarray:
        """Levels (n, 5) -> (n, S, S, 1) uint8, 0 to 255."""
        rows = self.space.check(factors)
        for shape, scale in np.unique(rows[:, :2], axis=0).tolist():
            if not self._is_drawn[shape, scale]:
                self._draw(shape, scale)
        side = _GRID * self._zoom
        canvas = np.zeros((len(rows), side, side), dtype=np.uint8)
        window = self._sprites.shape[-1]
        for image, (shape, scale, angle, x, y) in zip(canvas, rows.tolist(), strict=True):
            left, top = x * self._zoom, y * self._zoom
            sprite = self._sprites[shape, scale, angle]
            image[top : top + window, left : left + window] = sprite
        return resize_pixels(canvas[..., None], self.image_size)

    def _draw(self, shape: int, scale: int) -> None:
        side = self._sprites.shape[-1]
        across = ((np.arange(side * _SAMPLES) + 0.5) / _SAMPLES - side / 2).astype(np.float32)
        across /= np.float32(_UNIT * self._zoom * SCALES[scale])
        for angle, radians in enumerate(ANGLES.tolist()):
            cos, sin = np.float32(math.cos(radians)), np.float32(math.sin(radians))
            x = cos * across[None, :] + sin * across[:, None]
            y = cos * across[:, None] - sin * across[None, :]
            samples = _is_inside(SHAPES[shape], x, y).reshape(side, _SAMPLES, side, _SAMPLES)
            count = samples.sum(axis=(1, 3), dtype=np.uint16)
            self._sprites[shape, scale, angle] = np.round(count * (255 / _SAMPLES**2))
        self._is_drawn[shape, scale] = True


def _is_inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie within the sprite; y points down, one unit is about its radius."""
    if shape == "square":
        return (np.abs(x) <= 0.82) & (np.abs(y) <= 0.82)
    if shape == "ellipse":
        return (x / 1.15) ** 2 + (y / 0.575) ** 2 <= 1
    # The heart curve (x^2 + y^2 - 1)^3 = x^2 y^3, its point down.
    x, y = x / 0.86, 0.08 - y / 0.86
    return (x * x + y * y - 1) ** 3 <= x * x * y**3
