"""Renders heads from factors: shape, hair, pose, camera, rasteriser, paint.

Threads share the work: the compiled kernels take nearly all of the time and release the GIL, so
no process has to be started and no caller needs an `if __name__` guard.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np

from .. import space
from ..names import HEADS_NAME
from .factors import FACTORS, check_factors, sample_factors
from .hair import HairPart, hair_cap, hair_curtain
from .mesh import HeadMesh, ShapedHead, load_mesh, shape_head, smooth_step, target_weights
from .rasteriser import rasterise, vertex_normals
from .shading import (
    CANONICAL,
    INSIDE_MOUTH,
    LIPS,
    NORMAL,
    NUM_ATTRIBUTES,
    OCCLUSION,
    light_direction,
    make_palette,
    shade,
)

GENERATOR_VERSION = 2  # raise it when the same factors give another image
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 16, 512

_SAMPLES = 4  # per pixel along each axis
_VIEW_WIDTH = 2.42  # decimetres across the image at the head's depth
_VIEW_CENTRE = -0.06
_CAMERA_DISTANCE = 9.0
_MAX_TURN = 0.85  # radians for a yaw of 1
_CHUNK_IMAGES = 16


def render_heads(factors: np.ndarray, image_size: int, workers: int | None = 1) -> np.ndarray:
    """Renders one head for each row of factors.

    Args:
        factors: (n, 11), columns in the order of FACTORS, each within its range.
        image_size: S, 16 to 512.
        workers: threads; None means one per core.

    Returns:
        (n, S, S, 3) uint8 RGB.

    Raises:
        ValueError: factors of another shape or out of range, or an image size out of range.
    """
    check_image_size(image_size)
    rows = check_factors(factors)
    images = np.empty((len(rows), image_size, image_size, 3), dtype=np.uint8)
    _render_rows(rows, images, workers, None)
    return images


def render_dataset(
    num_images: int,
    image_size: int,
    seed: int,
    out: np.ndarray,
    workers: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> None:
    """Fills `out` with the heads that `sample_factors(num_images, seed)` describes.

    Args:
        num_images: n.
        image_size: S.
        seed: of the factors.
        out: (n, S, S, 3) uint8, usually a memory map; written in place.
        workers: threads; None means one per core.
        on_progress: called in the caller's thread with the number of images just finished.

    Raises:
        ValueError: `out` of another shape or type, or a bad count, size or seed.
    """
    check_image_size(image_size)
    expected = (num_images, image_size, image_size, 3)
    if out.shape != expected or out.dtype != np.uint8:
        raise ValueError(
            f"The output has shape {out.shape} and type {out.dtype}. Allocate it as {expected} and "
            "uint8."
        )
    _render_rows(sample_factors(num_images, seed), out, workers, on_progress)


def check_image_size(image_size: int) -> None:
    """Raises a ValueError for a size that the generator does not render."""
    space.check_image_size(image_size, MIN_IMAGE_SIZE, MAX_IMAGE_SIZE, HEADS_NAME)


def _render_rows(
    factors: np.ndarray,
    out: np.ndarray,
    workers: int | None,
    on_progress: Callable[[int], object] | None,
) -> None:
    def render_chunk(start: int) -> int:
        stop = min(start + _CHUNK_IMAGES, len(factors))
        for index in range(start, stop):
            _render(factors[index], out[index])
        return stop - start

    starts = range(0, len(factors), _CHUNK_IMAGES)
    with ThreadPoolExecutor(max_workers=workers or os.cpu_count()) as pool:
        chunks = [pool.submit(render_chunk, start) for start in starts]
        try:
            for chunk in as_completed(chunks):
                finished = chunk.result()
                if on_progress is not None:
                    on_progress(finished)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _render(row: np.ndarray, image: np.ndarray) -> None:
    factor = {spec.name: float(value) for spec, value in zip(FACTORS, row, strict=True)}
    mesh = load_mesh()
    head = shape_head(
        mesh,
        target_weights(factor["age"], factor["mood"], factor["mouth"], factor["face_width"]),
    )
    parts = [hair_cap(mesh, head, factor["fringe"])]
    curtain = hair_curtain(mesh, head, factor["hair_length"])
    if curtain is not None:
        parts.append(curtain)

    points, canonical, faces, materials = _join(mesh, head, parts)
    points = _turn(points, canonical, len(head.vertices), head.neck, factor["yaw"])
    size = image.shape[0] * _SAMPLES
    hit, weights = rasterise(_project(points, size), faces, size)
    shade(
        hit,
        weights,
        faces,
        materials,
        _attributes(mesh, canonical, vertex_normals(points, faces)),
        make_palette(factor["skin"], factor["hair_color"], factor["background"]),
        light_direction(factor["light"]),
        0.9 * (1 - 0.5 * factor["skin"]),  # dark skin blushes less visibly
        _SAMPLES,
        _VIEW_WIDTH / image.shape[0],
        image,
    )


def _join(
    mesh: HeadMesh, head: ShapedHead, parts: list[HairPart]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Concatenates head and hair: points, canonical points, faces, materials."""
    points, canonical = [head.vertices], [mesh.vertices]
    faces, materials = [mesh.faces], [mesh.materials]
    start = len(head.vertices)
    for part in parts:
        points.append(part.vertices)
        canonical.append(part.canonical)
        faces.append(part.faces + np.int32(start))
        materials.append(np.full(len(part.faces), part.material, dtype=np.int32))
        start += len(part.vertices)
    return (
        np.concatenate(points),
        np.concatenate(canonical),
        np.concatenate(faces),
        np.concatenate(materials),
    )


def _turn(
    points: np.ndarray, canonical: np.ndarray, num_head: int, neck: np.ndarray, yaw: float
) -> np.ndarray:
    """Turns head and hair around the neck; the shoulders follow by a quarter."""
    share = 0.25 + 0.75 * smooth_step(5.7, 6.5, canonical[:, 1])
    share[num_head:] = 1.0
    angle = yaw * _MAX_TURN * share
    cos, sin = np.cos(angle), np.sin(angle)
    x, z = points[:, 0] - neck[0], points[:, 2] - neck[2]
    turned = points.copy()
    turned[:, 0] = x * cos + z * sin + neck[0]
    turned[:, 2] = z * cos - x * sin + neck[2]
    return turned


def _project(points: np.ndarray, size: int) -> np.ndarray:
    """Maps model space to screen pixels (y down) and keeps the depth; (V, 3) float32."""
    scale = size / _VIEW_WIDTH * _CAMERA_DISTANCE / (_CAMERA_DISTANCE - points[:, 2])
    x = size / 2 + points[:, 0] * scale
    y = size / 2 - (points[:, 1] - _VIEW_CENTRE) * scale
    return np.stack([x, y, points[:, 2]], axis=1).astype(np.float32)


def _attributes(mesh: HeadMesh, canonical: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Lays out what `shade` interpolates; hair is unoccluded and has no lips."""
    num_head = len(mesh.vertices)
    attributes = np.zeros((len(canonical), NUM_ATTRIBUTES))
    attributes[:, CANONICAL] = canonical
    attributes[:, NORMAL] = normals
    attributes[:, OCCLUSION] = 1.0
    attributes[:num_head, OCCLUSION] = mesh.occlusion
    attributes[:num_head, LIPS] = mesh.lips
    attributes[:num_head, INSIDE_MOUTH] = mesh.inside_mouth
    return attributes
