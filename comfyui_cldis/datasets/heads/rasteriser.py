"""A z-buffer triangle rasteriser and smooth vertex normals, compiled with numba.

All kernels release the GIL, so that threads render in parallel.
"""

from __future__ import annotations

import math

import numba
import numpy as np

NO_TRIANGLE = -1


@numba.njit(cache=True, nogil=True)
def vertex_normals(vertices, faces):
    """Averages the face normals around each vertex, weighted by area.

    Args:
        vertices: (V, 3) float32.
        faces: (T, 3) int32.

    Returns:
        (V, 3) float32, unit length (zero for a vertex without a face).
    """
    normals = np.zeros_like(vertices)
    for triangle in range(faces.shape[0]):
        a, b, c = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for index in range(normals.shape[0]):
        x, y, z = normals[index, 0], normals[index, 1], normals[index, 2]
        scale = 1.0 / (math.sqrt(x * x + y * y + z * z) + 1e-9)
        normals[index, 0] = x * scale
        normals[index, 1] = y * scale
        normals[index, 2] = z * scale
    return normals


@numba.njit(cache=True, nogil=True)
def rasterise(points, faces, size):
    """Finds for each pixel the nearest triangle and where in it the pixel's centre lies.

    Args:
        points: (V, 3) float32: screen x and y in pixels (y down), depth (larger = nearer).
        faces: (T, 3) int32.
        size: width and height of the square screen.

    Returns:
        (size, size) int32 triangle indices, NO_TRIANGLE where there is none;
        (size, size, 2) float32 barycentric weights of the triangle's first two corners.
    """
    depth = np.full((size, size), -np.inf, dtype=np.float32)
    hit = np.full((size, size), NO_TRIANGLE, dtype=np.int32)
    weights = np.zeros((size, size, 2), dtype=np.float32)
    for triangle in range(faces.shape[0]):
        a, b, c = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        area = (y1 - y2) * (x0 - x2) + (x2 - x1) * (y0 - y2)
        if area == 0:
            continue
        inverse = 1.0 / area
        left = max(0, int(math.ceil(min(x0, x1, x2) - 0.5)))
        right = min(size - 1, int(math.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(math.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(size - 1, int(math.floor(max(y0, y1, y2) - 0.5)))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                dx, dy = column + 0.5 - x2, row + 0.5 - y2
                w0 = ((y1 - y2) * dx + (x2 - x1) * dy) * inverse
                w1 = ((y2 - y0) * dx + (x0 - x2) * dy) * inverse
                w2 = 1.0 - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z > depth[row, column]:
                    depth[row, column] = z
                    hit[row, column] = triangle
                    weights[row, column, 0] = w0
                    weights[row, column, 1] = w1
    return hit, weights
