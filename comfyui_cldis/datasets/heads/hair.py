"""Hair in two parts: a cap lifted off the scalp, and a curtain that hangs from it when long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .mesh import HAIR_CAP, HAIR_CURTAIN, HeadMesh, ShapedHead, load_mesh, smooth_step
from .rasteriser import vertex_normals

THICKNESS = 0.121  # of the cap, decimetres
SHORTEST_CURTAIN = 0.06  # below this hair length there is no curtain

# Height of the hairline over the canonical z axis, from the nape to the forehead.
_HAIRLINE_FRONT = (-0.9, -0.45, -0.1, 0.02, 0.30, 0.42, 0.62, 0.95, 1.5)
_HAIRLINE_HEIGHT = (6.35, 6.45, 6.75, 7.40, 7.42, 7.15, 7.62, 7.88, 7.95)

_NUM_ANGLES, _NUM_HEIGHTS = 49, 14
_WIDEST_ANGLE = math.radians(128)  # from the back of the head to beside the face


@dataclass(frozen=True)
class HairPart:
    """Geometry to add to the head: P vertices and Q triangles (indices start at 0)."""

    vertices: np.ndarray  # (P, 3) float32
    canonical: np.ndarray  # (P, 3) float32
    faces: np.ndarray  # (Q, 3) int32
    material: int


@dataclass(frozen=True)
class _CapRegion:
    indices: np.ndarray  # (P,) mesh vertices that can carry hair at the longest fringe
    faces: np.ndarray  # (Q, 3) into indices
    above_hairline: np.ndarray  # (P,) canonical height above the hairline, before the fringe
    frontness: np.ndarray  # (P,) how much the fringe moves the hairline here
    fullness: np.ndarray  # (P,) relative thickness, more on the crown


@lru_cache(maxsize=1)
def _cap_region() -> _CapRegion:
    mesh = load_mesh()
    height, front = mesh.vertices[:, 1], mesh.vertices[:, 2]
    above = height - np.interp(front, _HAIRLINE_FRONT, _HAIRLINE_HEIGHT)
    frontness = smooth_step(0.45, 0.9, front)
    candidate = (above + 0.45 * frontness > -0.12) & ~mesh.is_ear & (height > 6.2)
    faces = mesh.skin_faces[candidate[mesh.skin_faces].all(axis=1)]
    indices, local = np.unique(faces, return_inverse=True)
    return _CapRegion(
        indices=indices,
        faces=local.reshape(faces.shape).astype(np.int32),
        above_hairline=above[indices],
        frontness=frontness[indices],
        fullness=0.6 + 0.8 * smooth_step(7.4, 8.3, height[indices]),
    )


def hair_cap(mesh: HeadMesh, head: ShapedHead, fringe: float) -> HairPart:
    """Lifts the scalp along its normals; a fringe of 1 comes down to the brows."""
    region = _cap_region()
    above = region.above_hairline - (0.30 - 0.80 * fringe) * region.frontness
    lift = THICKNESS * region.fullness * smooth_step(-0.04, 0.22, above) - 0.05 * (above < 0)
    normals = vertex_normals(head.vertices, mesh.skin_faces)[region.indices]
    return HairPart(
        vertices=head.vertices[region.indices] + normals * lift[:, None].astype(np.float32),
        canonical=mesh.vertices[region.indices],
        faces=region.faces[(above[region.faces] > -0.02).any(axis=1)],
        material=HAIR_CAP,
    )


@lru_cache(maxsize=1)
def _curtain_faces() -> np.ndarray:
    corner = (
        np.arange(_NUM_ANGLES - 1)[:, None] * _NUM_HEIGHTS + np.arange(_NUM_HEIGHTS - 1)
    ).ravel()
    beside = corner + _NUM_HEIGHTS
    first = np.stack([corner, beside, corner + 1], axis=1)
    second = np.stack([beside, beside + 1, corner + 1], axis=1)
    # (cells, 2, 3) -> (2 * cells, 3)
    return np.stack([first, second], axis=1).reshape(-1, 3).astype(np.int32)


def hair_curtain(mesh: HeadMesh, head: ShapedHead, hair_length: float) -> HairPart | None:
    """Hangs a bent sheet around the back of the head, or nothing for short hair."""
    if hair_length <= SHORTEST_CURTAIN:
        return None
    height = mesh.vertices[:, 1]
    band = head.vertices[mesh.on_skin & (height > 7.2) & (height < 8.0) & ~mesh.is_ear]
    half_width = np.abs(band[:, 0]).max() * 1.03 + 0.35 * THICKNESS
    back = band[:, 2].min() - 0.35 * THICKNESS
    centre = back * 0.42 + band[:, 2].max() * 0.58
    top = band[:, 1].max() + 0.12 * head.scale
    bottom = top - 0.15 - 2.9 * hair_length * head.scale

    reach = _WIDEST_ANGLE * (0.45 + 0.55 * float(smooth_step(0.05, 0.5, hair_length)))
    position = np.linspace(-1.0, 1.0, _NUM_ANGLES)[:, None]
    angle = position * reach  # 0 = back of the head
    y = np.broadcast_to(
        top + (bottom - top) * np.linspace(0.0, 1.0, _NUM_HEIGHTS), (_NUM_ANGLES, _NUM_HEIGHTS)
    )
    drop = (top - y) / head.scale
    flare = 0.80 + 0.24 * smooth_step(0, 0.55, drop) + 0.04 * np.clip(drop - 0.5, 0, 3)
    # The front edges lie close to the head near the top.
    flare = flare - 0.25 * smooth_step(0.75, 1, np.abs(position)) * smooth_step(0.5, 0, drop)
    x = np.sin(angle) * half_width * flare
    z = centre - np.cos(angle) * (centre - back) * flare
    return HairPart(
        vertices=np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32),
        canonical=np.stack([x, 7.4 - drop, z], axis=-1).reshape(-1, 3).astype(np.float32),
        faces=_curtain_faces(),
        material=HAIR_CURTAIN,
    )
