"""Where rays meet a cube, a cylinder, a sphere or a capsule that stands on the floor y = 0."""

from __future__ import annotations

from enum import Enum

import numpy as np

_CUBE_HALF = 0.145
_CYLINDER_RADIUS, _CYLINDER_HEIGHT = 0.140, 0.32
_SPHERE_RADIUS = 0.17
_CAPSULE_RADIUS, _CAPSULE_HEIGHT = 0.128, 0.53
_NEAREST = 1e-4  # a ray that starts on a surface does not meet it again


class Solid(Enum):
    """The shapes, sized for a scale of 1, in metres."""

    CUBE = "cube"
    CYLINDER = "cylinder"
    SPHERE = "sphere"
    CAPSULE = "capsule"


def bounding_sphere(solid: Solid, scale: float) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of a sphere around the solid."""
    half_width, height = {
        Solid.CUBE: (_CUBE_HALF * 2**0.5, 2 * _CUBE_HALF),
        Solid.CYLINDER: (_CYLINDER_RADIUS, _CYLINDER_HEIGHT),
        Solid.SPHERE: (0.0, 2 * _SPHERE_RADIUS),
        Solid.CAPSULE: (0.0, _CAPSULE_HEIGHT),
    }[solid]
    centre = np.array([0, scale * height / 2, 0])
    return centre, scale * float(np.hypot(half_width, height / 2)) * 1.001


def hit_solid(
    solid: Solid, scale: float, origins: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the first meeting of each ray with the outside of the solid.

    Args:
        solid: the shape.
        scale: its size, 1 for the nominal one.
        origins: (m, 3), outside the solid.
        rays: (m, 3) unit vectors.

    Returns:
        Distances (m,), infinite for a miss, and outward unit normals (m, 3).
    """
    if solid is Solid.CUBE:
        return _hit_cube(_CUBE_HALF * scale, origins, rays)
    if solid is Solid.SPHERE:
        radius = _SPHERE_RADIUS * scale
        return _hit_sphere(np.array([0, radius, 0]), radius, origins, rays)
    if solid is Solid.CYLINDER:
        top = _CYLINDER_HEIGHT * scale
        side = _hit_tube(_CYLINDER_RADIUS * scale, 0, top, origins, rays)
        return _nearer(side, _hit_lid(_CYLINDER_RADIUS * scale, top, origins, rays))
    radius = _CAPSULE_RADIUS * scale
    low, high = radius, _CAPSULE_HEIGHT * scale - radius
    found = _hit_tube(radius, low, high, origins, rays)
    for height in (low, high):
        found = _nearer(found, _hit_sphere(np.array([0, height, 0]), radius, origins, rays))
    return found


def _hit_cube(half: float, origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slab method: the ray is inside while it is between all three pairs of faces."""
    centred = origins - [0, half, 0]
    steep = np.where(np.abs(rays) < 1e-12, 1e-12, rays)
    first, second = (-half - centred) / steep, (half - centred) / steep
    enters, leaves = np.minimum(first, second), np.maximum(first, second)
    axis = enters.argmax(axis=1)
    rows = np.arange(len(rays))
    distance = enters[rows, axis]
    is_hit = (distance <= leaves.min(axis=1)) & (distance > _NEAREST)
    normals = np.zeros_like(centred)
    normals[rows, axis] = -np.sign(steep[rows, axis])
    return np.where(is_hit, distance, np.inf), normals


def _hit_sphere(
    centre: np.ndarray, radius: float, origins: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    offset = origins - centre
    along = (offset * rays).sum(axis=1)
    square = along**2 - (offset * offset).sum(axis=1) + radius**2
    distance = -along - np.sqrt(np.maximum(square, 0))
    is_hit = (square > 0) & (distance > _NEAREST)
    return np.where(is_hit, distance, np.inf), (offset + distance[:, None] * rays) / radius


def _hit_tube(
    radius: float, low: float, high: float, origins: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An upright tube around the y axis, from `low` to `high`, open at both ends."""
    flat_origins, flat_rays = origins[:, [0, 2]], rays[:, [0, 2]]
    slope = np.maximum((flat_rays * flat_rays).sum(axis=1), 1e-12)
    along = (flat_origins * flat_rays).sum(axis=1)
    square = along**2 - slope * ((flat_origins * flat_origins).sum(axis=1) - radius**2)
    distance = (-along - np.sqrt(np.maximum(square, 0))) / slope
    points = origins + distance[:, None] * rays
    is_hit = (square > 0) & (distance > _NEAREST)
    is_hit &= (points[:, 1] >= low) & (points[:, 1] <= high)
    normals = points / radius
    normals[:, 1] = 0
    return np.where(is_hit, distance, np.inf), normals


def _hit_lid(
    radius: float, height: float, origins: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A flat disc that closes a tube from above, seen from above."""
    downward = np.minimum(rays[:, 1], -1e-12)
    distance = (height - origins[:, 1]) / downward
    points = origins + distance[:, None] * rays
    is_hit = (rays[:, 1] < 0) & (distance > _NEAREST)
    is_hit &= points[:, 0] ** 2 + points[:, 2] ** 2 <= radius**2
    normals = np.zeros_like(origins)
    normals[:, 1] = 1
    return np.where(is_hit, distance, np.inf), normals


def _nearer(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    is_other = other[0] < one[0]
    return (
        np.where(is_other, other[0], one[0]),
        np.where(is_other[:, None], other[1], one[1]),
    )
