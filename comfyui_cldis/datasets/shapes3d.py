"""Shapes3D-equivalent: an object in a coloured room, with the factors and the grid of Shapes3D.

Six factors, 10 x 10 x 10 x 8 x 4 x 15 = 480,000 combinations, in the order of Burgess & Kim 2018
(3dshapes.h5). The images resemble theirs and are not the same; the name always says so.

Only scale, shape and orientation need geometry: 480 ray casts, each made when it is first asked
for. Every image is then a sum of five layers times their colours.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from .names import SHAPES3D_NAME
from .solids import Solid, bounding_sphere, hit_solid
from .space import FactorSpace, check_image_size

SHAPES3D_VERSION = 1  # raise it when the same factors give another image
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 8, 256

SPACE = FactorSpace(
    ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
    (10, 10, 10, 8, 4, 15),
)
SHAPES = (Solid.CUBE, Solid.CYLINDER, Solid.SPHERE, Solid.CAPSULE)
SCALES = np.linspace(0.75, 1.25, 8)
ORIENTATIONS = np.radians(np.linspace(-30, 30, 15))
# Fully saturated, 36 degrees apart.
HUES = np.array([colorsys.hsv_to_rgb(hue / 10, 1, 1) for hue in range(10)], dtype=np.float32)
SKY = np.array([153, 226, 249], dtype=np.float32) / 255

_SAMPLES = 4  # per pixel along each axis
_BATCH = 64  # images composed at once, which keeps them in the processor's cache
_NUM_LAYERS = 5
_FLOOR, _WALL, _OBJECT, _HIGHLIGHT, _SKY = range(_NUM_LAYERS)
_LEVELS = 65535  # layers are kept as 16-bit fractions: half the memory of float32, same images

# The room in metres: its floor is y = 0, the object stands at the origin.
_HALF_WIDTH = 1.07
_WALL_HEIGHT = 0.74
_EYE_DISTANCE, _EYE_HEIGHT = 1.0, 0.30
_FOCAL_LENGTH = 1.06  # in widths of the image
_TO_LIGHT = np.array([-0.42, 0.80, -0.42]) / np.linalg.norm([-0.42, 0.80, -0.42])
_LAMP = np.array([-0.9, -0.9])  # x and z of the brightest corner


class Shapes3D:
    """Renders Shapes3D-equivalent images (n, S, S, 3) from levels (n, 6)."""

    name = SHAPES3D_NAME
    space = SPACE
    channels = 3

    def __init__(self, image_size: int) -> None:
        """Prepares images of S = `image_size`; each of 480 geometries is cast on first use.

        Raises:
            ValueError: a size out of range.
        """
        check_image_size(image_size, MIN_IMAGE_SIZE, MAX_IMAGE_SIZE, self.name)
        self.image_size = image_size
        num_geometries = len(SCALES) * len(SHAPES) * len(ORIENTATIONS)
        # Zeros take no memory until they are written.
        self._layers = np.zeros((num_geometries, image_size**2, _NUM_LAYERS), dtype=np.uint16)
        self._is_cast = np.zeros(num_geometries, dtype=bool)

    def images(self, factors: np.ndarray) -> np.ndarray:
        """Levels (n, 6) -> (n, S, S, 3) uint8 RGB."""
        rows = self.space.check(factors)
        geometry = (rows[:, 3] * len(SHAPES) + rows[:, 4]) * len(ORIENTATIONS) + rows[:, 5]
        self._cast(np.unique(geometry))
        colours = np.zeros((len(rows), _NUM_LAYERS, 3), dtype=np.float32)
        colours[:, _FLOOR] = HUES[rows[:, 0]]
        colours[:, _WALL] = HUES[rows[:, 1]]
        colours[:, _OBJECT] = HUES[rows[:, 2]]
        colours[:, _HIGHLIGHT] = 1
        colours[:, _SKY] = SKY
        colours *= 255 / _LEVELS
        images = np.empty((len(rows), self.image_size**2, 3), dtype=np.uint8)
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            # (b, S * S, 5) @ (b, 5, 3) -> (b, S * S, 3)
            mixed = self._layers[geometry[part]].astype(np.float32) @ colours[part]
            mixed += 0.5
            np.minimum(mixed, 255, out=mixed)  # a highlight may go beyond white
            images[part] = mixed
        return images.reshape(-1, self.image_size, self.image_size, 3)

    def _cast(self, geometries: np.ndarray) -> None:
        size, missing = self.image_size, geometries[~self._is_cast[geometries]]
        for orientation in np.unique(missing % len(ORIENTATIONS)).tolist():
            room = _cast_room(float(ORIENTATIONS[orientation]), size * _SAMPLES)
            for geometry in missing[missing % len(ORIENTATIONS) == orientation].tolist():
                scale, shape = divmod(geometry // len(ORIENTATIONS), len(SHAPES))
                layers = _add_object(room, SHAPES[shape], float(SCALES[scale]))
                # (S * 4 * S * 4, 5) -> sums over each pixel's 4 rows, then 4 columns -> (S * S, 5)
                tall = layers.reshape(size, _SAMPLES, -1).sum(axis=1)
                parts = tall.reshape(size * size, _SAMPLES, _NUM_LAYERS)
                sums = sum(parts[:, sample] for sample in range(_SAMPLES))
                self._layers[geometry] = np.round(sums * (_LEVELS / _SAMPLES**2))
                self._is_cast[geometry] = True


@dataclass(frozen=True)
class _Background:
    """The empty room from one side; one entry per ray."""

    eye: np.ndarray  # (3,)
    rays: np.ndarray  # (m, 3) unit vectors
    layers: np.ndarray  # (m, 5) float32
    floor: np.ndarray  # (f,) which rays meet the floor
    floor_points: np.ndarray  # (f, 3)


def _cast_room(angle: float, side: int) -> _Background:
    """Looks at the empty room from `angle` radians, with side x side rays."""
    sin, cos = np.sin(angle), np.cos(angle)
    eye = np.array([-_EYE_DISTANCE * sin, _EYE_HEIGHT, -_EYE_DISTANCE * cos])
    across = (np.arange(side) + 0.5) / side - 0.5
    down, right = np.meshgrid(across, across, indexing="ij")
    rays = np.stack(
        [_FOCAL_LENGTH * sin + right * cos, -down, _FOCAL_LENGTH * cos - right * sin], axis=-1
    ).reshape(-1, 3)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    layers = np.zeros((len(rays), _NUM_LAYERS), dtype=np.float32)
    layers[:, _SKY] = 1
    nearest = np.full(len(rays), np.inf)

    # Back, left and right wall; the fourth is behind the eye.
    for axis, place, brightness in ((2, 1, 0.98), (0, -1, 0.82), (0, 1, 0.74)):
        with np.errstate(divide="ignore"):
            distance = (place * _HALF_WIDTH - eye[axis]) / rays[:, axis]
        points = eye + np.where(np.isfinite(distance), distance, 0)[:, None] * rays
        is_hit = (rays[:, axis] * place > 0) & (points[:, 1] >= 0) & (points[:, 1] <= _WALL_HEIGHT)
        is_hit &= (np.abs(points[:, 0]) <= _HALF_WIDTH + 1e-6) & (distance < nearest)
        is_hit &= points[:, 2] <= _HALF_WIDTH + 1e-6
        nearest[is_hit] = distance[is_hit]
        layers[is_hit] = 0
        layers[is_hit, _WALL] = brightness * (0.80 + 0.28 * _lamp_light(points[is_hit]))

    with np.errstate(divide="ignore"):
        distance = -eye[1] / rays[:, 1]
    points = eye + np.where(np.isfinite(distance), distance, 0)[:, None] * rays
    is_hit = (rays[:, 1] < 0) & (distance < nearest)
    is_hit &= (np.abs(points[:, [0, 2]]) <= _HALF_WIDTH).all(axis=1)
    layers[is_hit] = 0
    layers[is_hit, _FLOOR] = np.minimum(1, 0.35 + 0.95 * _lamp_light(points[is_hit]))
    floor = np.flatnonzero(is_hit)
    return _Background(eye, rays, np.minimum(layers, 1), floor, points[floor])


def _add_object(room: _Background, solid: Solid, scale: float) -> np.ndarray:
    """The room's layers with the object and its shadow, (m, 5)."""
    layers = room.layers.copy()
    centre, radius = bounding_sphere(solid, scale)

    from_floor = room.floor_points + [0, 1e-4, 0]
    offset = centre - from_floor
    near = _passes((offset * offset).sum(axis=1), offset @ _TO_LIGHT, radius)
    toward = np.broadcast_to(_TO_LIGHT, (len(near), 3))
    distance, _ = hit_solid(solid, scale, from_floor[near], toward)
    layers[room.floor[near[np.isfinite(distance)]], _FLOOR] = 0.33

    offset = centre - room.eye
    near = _passes(offset @ offset, room.rays @ offset, radius)
    rays = room.rays[near]
    distance, normals = hit_solid(solid, scale, np.broadcast_to(room.eye, rays.shape), rays)
    is_hit = np.isfinite(distance)
    near, rays, distance, normals = near[is_hit], rays[is_hit], distance[is_hit], normals[is_hit]
    points = room.eye + distance[:, None] * rays
    facing = np.maximum(0, normals @ _TO_LIGHT)
    layers[near] = 0
    layers[near, _OBJECT] = np.minimum(
        1, 0.50 + 0.86 * facing * (0.60 + 0.75 * _lamp_light(points))
    )
    halfway = _TO_LIGHT - rays
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    layers[near, _HIGHLIGHT] = 0.16 * np.maximum(0, (normals * halfway).sum(axis=1)) ** 18
    return layers


def _lamp_light(points: np.ndarray) -> np.ndarray:
    """Falls with the squared distance from the lamp's corner; (m, 3) -> (m,), at most 1."""
    return 1 / (1 + 0.12 * ((points[:, [0, 2]] - _LAMP) ** 2).sum(axis=1))


def _passes(distances: np.ndarray, along: np.ndarray, radius: float) -> np.ndarray:
    """Which rays come within `radius` of a point; the others need no exact test.

    Args:
        distances: (m,) or a number, squared, from the rays' origins to the point.
        along: (m,) how far along the rays the point is.
        radius: of the sphere around it.
    """
    return np.flatnonzero(distances - along * along < radius * radius)
