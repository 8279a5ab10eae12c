"""The head mesh and its shape targets: where the vertices go for an age, a mood, a mouth, a width.

Canonical coordinates are those of the undeformed mesh: x to the head's left, y up, z to the front,
in decimetres; painting (brows, iris, shirt) and masks are defined there, so they follow the shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

# Materials of triangles: the first four come with the mesh file, the hair is added per image.
SKIN, EYE, TEETH, LASHES, HAIR_CAP, HAIR_CURTAIN = 0, 1, 2, 4, 5, 6

AGE_TARGETS = ("age_baby", "age_child", "age_young", "age_old")
AGE_KEYS = (0.0, 0.1875, 0.5, 1.0)  # where on the age axis each of these shapes is reached

HEAD_HEIGHT = 2.35  # from chin to crown, after normalisation


@dataclass(frozen=True)
class HeadMesh:
    """The canonical mesh: V vertices, T triangles, K shape targets."""

    vertices: np.ndarray  # (V, 3) float32
    faces: np.ndarray  # (T, 3) int32
    materials: np.ndarray  # (T,) int32
    targets: dict[str, int]  # name -> row of offsets
    offsets: np.ndarray  # (K, V, 3) float32
    occlusion: np.ndarray  # (V,) float32, 1 = open to light
    lips: np.ndarray  # (V,) float32 soft mask
    inside_mouth: np.ndarray  # (V,) float32 soft mask
    skin_faces: np.ndarray  # those faces whose material is SKIN
    on_skin: np.ndarray  # (V,) bool
    is_crown: np.ndarray  # (V,) bool, highest of these = top of the head
    is_chin: np.ndarray  # (V,) bool, lowest of these = chin
    is_ear: np.ndarray  # (V,) bool


@lru_cache(maxsize=1)
def load_mesh() -> HeadMesh:
    """Reads the bundled mesh once per process."""
    with np.load(Path(__file__).with_name("head.npz")) as arrays:
        vertices = arrays["vertices"].astype(np.float32)
        faces = arrays["faces"].astype(np.int32)
        materials = arrays["materials"].astype(np.int32)
        names = [str(name) for name in arrays["target_names"]]
        offsets = arrays["target_offsets"].astype(np.float32)
        masks = {
            name: arrays[name].astype(np.float32) for name in ("occlusion", "lips", "inside_mouth")
        }

    side, height, front = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    skin_faces = np.ascontiguousarray(faces[materials == SKIN])
    on_skin = np.zeros(len(vertices), dtype=bool)
    on_skin[np.unique(skin_faces)] = True
    return HeadMesh(
        vertices=vertices,
        faces=faces,
        materials=materials,
        targets={name: row for row, name in enumerate(names)},
        offsets=offsets,
        skin_faces=skin_faces,
        on_skin=on_skin,
        is_crown=on_skin & (height > 7.9),
        is_chin=on_skin & (side < 0.1) & (height > 6.0) & (height < 6.25) & (front > 1.1),
        is_ear=(side > 0.80) & (height > 6.7) & (height < 7.5) & (front < 0.45),
        **masks,
    )


def target_weights(age: float, mood: float, mouth: float, face_width: float) -> dict[str, float]:
    """Mixes the shape targets: mood < 0 frowns and lowers the brows, mood > 0 smiles."""
    weights = {
        name: float(np.interp(age, AGE_KEYS, np.eye(len(AGE_KEYS))[row]))
        for row, name in enumerate(AGE_TARGETS)
    }
    weights["jaw_open"] = mouth
    if mood > 0:
        weights |= {"smile": mood, "smile_squared": mood**2, "brows_up": 0.5 * mood}
    else:
        weights |= {"frown": -mood, "brows_down": -0.9 * mood}
    weights["face_wide" if face_width > 0 else "face_narrow"] = abs(face_width)
    return {name: weight for name, weight in weights.items() if weight}


@dataclass(frozen=True)
class ShapedHead:
    """A deformed head, centred and brought to about the same size at every age."""

    vertices: np.ndarray  # (V, 3) float32
    neck: np.ndarray  # (3,) the joint around which the head turns
    scale: float  # what canonical lengths were multiplied by


def shape_head(mesh: HeadMesh, weights: dict[str, float]) -> ShapedHead:
    """Applies shape targets, then centres the head and normalises most of its size away."""
    rows = [mesh.targets[name] for name in weights]
    amounts = np.array(list(weights.values()), dtype=np.float32)
    moved = mesh.vertices.copy()
    for row, amount in zip(rows, amounts, strict=True):
        moved += amount * mesh.offsets[row]

    neck, head = moved[-2], moved[-1]  # the joints are the last two vertices
    top = moved[mesh.is_crown, 1].max()
    chin = moved[mesh.is_chin, 1].min()
    # The power keeps a little of the difference: children's heads stay slightly smaller.
    scale = float((HEAD_HEIGHT / (top - chin)) ** 0.75)
    centre = np.array([0.0, (top + chin) / 2, head[2]], dtype=np.float32)
    return ShapedHead(
        vertices=((moved - centre) * np.float32(scale)).astype(np.float32),
        neck=(neck - centre) * scale,
        scale=scale,
    )


def smooth_step(start: float, end: float, value: np.ndarray | float) -> np.ndarray:
    """Rises from 0 at start to 1 at end with zero slope at both (start > end falls instead)."""
    t = np.clip((np.asarray(value) - start) / (end - start), 0.0, 1.0)
    return t * t * (3 - 2 * t)
