"""Paint and light: the colour of each pixel from its material, canonical position and normal.

The skin's make-up (brows, lips, blush, shirt) is drawn in canonical coordinates, so it needs no
texture and follows every shape. Light is one key light with wrap-around, a sky, a fill and a rim.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from .mesh import EYE, HAIR_CAP, HAIR_CURTAIN, LASHES, SKIN, TEETH

# Rows of the palette passed to `shade`.
_SKIN, _HAIR, _IRIS, _SHIRT, _BACKGROUND = range(5)

SKIN_TONES = (
    (1.0, 0.87, 0.79),
    (0.96, 0.78, 0.66),
    (0.84, 0.63, 0.48),
    (0.60, 0.41, 0.29),
    (0.35, 0.23, 0.17),
)
HAIR_TONES = (
    (0.06, 0.05, 0.05),
    (0.22, 0.12, 0.07),
    (0.48, 0.24, 0.10),
    (0.72, 0.36, 0.14),
    (0.90, 0.72, 0.40),
    (0.88, 0.87, 0.86),
)
IRIS_COLOUR = (0.31, 0.284, 0.14)
SHIRT_COLOUR = (0.28, 0.488, 0.8)

# Columns of the per-vertex attributes passed to `shade`.
NUM_ATTRIBUTES = 9
CANONICAL, NORMAL, OCCLUSION, LIPS, INSIDE_MOUTH = slice(0, 3), slice(3, 6), 6, 7, 8

_AMBIENT = 0.46
_WRAP = 0.25
_BROW_HALF_WIDTH = 0.055 * 0.925
_LASH_DARKNESS = 0.7375
# Fine strands: radians per unit across, relative height, radians by which they sway.
_STRANDS = ((71.0, 0.05, 1.6), (113.0, 0.07, 2.2), (179.0, 0.07, 3.0), (241.0, 0.06, 3.9))


def tone(table: tuple[tuple[float, float, float], ...], position: float) -> np.ndarray:
    """Interpolates evenly spaced colours at a position in [0, 1]; (3,) float64."""
    colours = np.array(table)
    knots = np.linspace(0.0, 1.0, len(colours))
    return np.array([np.interp(position, knots, colours[:, channel]) for channel in range(3)])


def hue_colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """Converts HSV to RGB, all in [0, 1]; (3,) float64."""
    # Each channel is a trapezium over the hue circle, a third of a turn apart.
    distance = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3)
    return value * (1 - saturation * (1 - np.clip(distance - 1, 0.0, 1.0)))


def make_palette(skin: float, hair_color: float, background: float) -> np.ndarray:
    """Collects the five colours of an image as (5, 3) float64."""
    rows = [
        tone(SKIN_TONES, skin),
        tone(HAIR_TONES, hair_color),
        np.array(IRIS_COLOUR),
        np.array(SHIRT_COLOUR),
        hue_colour(background, saturation=0.38, value=0.92),
    ]
    return np.stack(rows)


def light_direction(light: float) -> np.ndarray:
    """Turns the light factor into a unit vector towards the lamp; (3,) float64."""
    angle = light * 1.25
    direction = np.array([math.sin(angle) * 0.85, 0.55, math.cos(angle) * 0.85])
    return direction / np.linalg.norm(direction)


class _Paint(NamedTuple):
    """What a surface is made of at one point, before any light."""

    red: float
    green: float
    blue: float
    shine: float
    occlusion: float


@numba.njit(cache=True, nogil=True)
def _unit(value):
    return min(1.0, max(0.0, value))


@numba.njit(cache=True, nogil=True)
def _brow(x, y, z):
    """Opacity of the brows at a canonical point; x is the distance from the middle."""
    along = (x - 0.10) / 0.46
    if z <= 0.9 or along <= 0 or along >= 1:
        return 0.0
    centre = 7.455 + 0.10 * math.sin(along * 2.3) - 0.03 * along
    across = abs(y - centre) / (_BROW_HALF_WIDTH * (1 - 0.55 * along))
    if across >= 1:
        return 0.0
    edge = min(1.0, (1.0 - across) * 2.5)
    return 0.92 * edge * min(1.0, along * 8) * min(1.0, (1 - along) * 6)


@numba.njit(cache=True, nogil=True)
def _paint_skin(x, y, z, occlusion, lips, inside_mouth, palette, blush):
    x = abs(x)
    if y < 5.80 + 0.16 * min(1.0, x) and not (z > 0.0 and x < 0.35 and y > 5.62 + 0.5 * x):
        shirt = palette[_SHIRT]
        return _Paint(shirt[0], shirt[1], shirt[2], 0.03, occlusion)
    if inside_mouth > 0.5:
        return _Paint(0.30, 0.08, 0.08, 0.0, occlusion)

    red, green, blue = palette[_SKIN, 0], palette[_SKIN, 1], palette[_SKIN, 2]
    lip_red, lip_green, lip_blue = red * 0.78 + 0.06, green * 0.48 + 0.02, blue * 0.50 + 0.02
    cheek = (x - 0.45) ** 2 / 0.05 + (y - 6.93) ** 2 / 0.035 + (z - 1.2) ** 2 / 0.3
    nose_tip = x * x / 0.02 + (y - 6.98) ** 2 / 0.02 + (z - 1.75) ** 2 / 0.05
    warmth = blush * (math.exp(-cheek) + 0.7 * math.exp(-nose_tip))
    green *= 1 - 0.22 * warmth
    blue *= 1 - 0.18 * warmth
    red += (lip_red - red) * lips
    green += (lip_green - green) * lips
    blue += (lip_blue - blue) * lips
    brow = _brow(x, y, z)
    red += (palette[_HAIR, 0] * 0.75 - red) * brow
    green += (palette[_HAIR, 1] * 0.75 - green) * brow
    blue += (palette[_HAIR, 2] * 0.75 - blue) * brow
    return _Paint(red, green, blue, 0.10 + 0.12 * lips, occlusion)


@numba.njit(cache=True, nogil=True)
def _paint_eye(x, y, z, occlusion, palette):
    dx = x - (0.3095 if x > 0 else -0.3095)
    dy = y - 7.285
    in_front = z > 1.245
    distance = math.sqrt(dx * dx + dy * dy)
    occlusion = max(0.55 + 0.45 * occlusion, 0.75)
    if in_front and (dx + 0.02) ** 2 + (dy - 0.025) ** 2 < 0.00022:  # the highlight
        return _Paint(1.6, 1.6, 1.6, 0.5, occlusion)
    if in_front and distance < 0.028:
        return _Paint(0.02, 0.02, 0.02, 0.5, occlusion)
    if in_front and distance < 0.064:
        ring = 1.0 if distance < 0.056 else 0.45
        iris = palette[_IRIS]
        return _Paint(iris[0] * ring, iris[1] * ring, iris[2] * ring, 0.5, occlusion)
    return _Paint(0.95, 0.94, 0.93, 0.5, occlusion)


@numba.njit(cache=True, nogil=True)
def _paint_lashes(palette):
    skin, dark = palette[_SKIN], _LASH_DARKNESS
    return _Paint(
        skin[0] * 0.55 * (1 - dark) + 0.06 * dark,
        skin[1] * 0.45 * (1 - dark) + 0.05 * dark,
        skin[2] * 0.42 * (1 - dark) + 0.05 * dark,
        0.0,
        1.0,
    )


@numba.njit(cache=True, nogil=True)
def _fine_strands(across, along, pixel):
    """What fine strands add to the brightness of 1; nothing where pixels are too large for them.

    Each fades in while its wavelength grows from 3 to 6 pixels, so images of 80 pixels and less
    have none (clamping: Norton, Rockwood and Skolmoski 1982).
    """
    added = 0.0
    for index, (rate, height, sway) in enumerate(_STRANDS):
        shown = _unit((2 * math.pi / rate / pixel - 3) / 3)
        if shown > 0:
            bend = sway * math.sin(1.7 * along + 5 * across + index)
            strength = 0.6 + 0.4 * math.sin(3.3 * along + 11 * across + index)
            added += shown * height * strength * math.sin(rate * across + bend + 2.1 * index)
    return added


@numba.njit(cache=True, nogil=True)
def _paint_hair(x, y, z, is_curtain, palette, pixel):
    if is_curtain:
        strands = 1.0 + 0.10 * math.sin(34 * math.atan2(x, z - 0.2))
        strands += _fine_strands(math.atan2(x, z - 0.2), y, pixel)
        occlusion = 0.62 + 0.38 * _unit((y - 5.6) / 1.8)
    else:
        strands = 1.0 + 0.08 * math.sin(30 * x + 6 * z)
        strands += _fine_strands(x + 0.2 * z, z, pixel)
        occlusion = 1.0
    hair = palette[_HAIR]
    return _Paint(hair[0] * strands, hair[1] * strands, hair[2] * strands, 0.22, occlusion)


@numba.njit(cache=True, nogil=True)
def _lit(paint, nx, ny, nz, light):
    """Lights one surface point; returns (red, green, blue), each clipped to [0, 1]."""
    lx, ly, lz = light[0], light[1], light[2]
    facing = nx * lx + ny * ly + nz * lz
    key = 0.80 * max(0.0, (facing + _WRAP) / (1 + _WRAP)) * (0.25 + 0.75 * paint.occlusion)
    sky = _AMBIENT * (0.65 + 0.35 * (0.5 + 0.5 * ny)) * paint.occlusion
    fill = max(0.0, -nx * lx * 0.6 + nz * 0.5) * 0.16 * paint.occlusion
    rim = (1 - max(0.0, nz)) ** 3 * 0.18 * paint.occlusion
    # Blinn-Phong highlight; the viewer is at +z.
    half_length = math.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    gloss = paint.shine * max(0.0, (facing + nz) / half_length) ** 24
    total = sky + key + fill
    return (
        _unit(paint.red * (total * 1.02 + 0.02) + gloss + rim * 0.5),
        _unit(paint.green * total + gloss + rim * 0.5),
        _unit(paint.blue * total * 0.98 + gloss + rim * 0.55),
    )


@numba.njit(cache=True, nogil=True)
def _surface(triangle, w0, w1, faces, materials, attributes, palette, light, blush, pixel):
    """Colour where a ray meets a triangle, from the corners' interpolated attributes."""
    a, b, c = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
    w2 = 1.0 - w0 - w1
    x = w0 * attributes[a, 0] + w1 * attributes[b, 0] + w2 * attributes[c, 0]
    y = w0 * attributes[a, 1] + w1 * attributes[b, 1] + w2 * attributes[c, 1]
    z = w0 * attributes[a, 2] + w1 * attributes[b, 2] + w2 * attributes[c, 2]
    nx = w0 * attributes[a, 3] + w1 * attributes[b, 3] + w2 * attributes[c, 3]
    ny = w0 * attributes[a, 4] + w1 * attributes[b, 4] + w2 * attributes[c, 4]
    nz = w0 * attributes[a, 5] + w1 * attributes[b, 5] + w2 * attributes[c, 5]
    occlusion = w0 * attributes[a, 6] + w1 * attributes[b, 6] + w2 * attributes[c, 6]
    scale = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-9)
    nx, ny, nz = nx * scale, ny * scale, nz * scale

    material = materials[triangle]
    if material == SKIN:
        lips = w0 * attributes[a, 7] + w1 * attributes[b, 7] + w2 * attributes[c, 7]
        inside = w0 * attributes[a, 8] + w1 * attributes[b, 8] + w2 * attributes[c, 8]
        paint = _paint_skin(x, y, z, occlusion, lips, inside, palette, blush)
    elif material == EYE:
        paint = _paint_eye(x, y, z, occlusion, palette)
    elif material == TEETH:
        paint = _Paint(0.95, 0.93, 0.88, 0.0, 0.9)
        nx, ny, nz = 0.0, 0.1, 0.99  # one bright row instead of separate shaded teeth
    elif material == LASHES:
        paint = _paint_lashes(palette)
    else:
        paint = _paint_hair(x, y, z, material == HAIR_CURTAIN, palette, pixel)
        if material != HAIR_CAP and nz < 0:  # the curtain is one sheet, lit on both sides
            nx, ny, nz = -nx, -ny, -nz
    return _lit(paint, nx, ny, nz, light)


@numba.njit(cache=True, nogil=True)
def shade(hit, weights, faces, materials, attributes, palette, light, blush, samples, pixel, image):
    """Colours the rasterised pixels and averages blocks of samples x samples into the image.

    Args:
        hit, weights: of `rasterise`, on a screen of size T = S * samples.
        faces: (N, 3) int32.
        materials: (N,) int32.
        attributes: (V, 9) float64: canonical position, normal, occlusion, lips, inside of mouth.
        palette: (5, 3) float64, see `make_palette`.
        light: (3,) float64 unit vector.
        blush: strength of the red on cheeks and nose.
        samples: samples per pixel along each axis.
        pixel: width of a pixel at the head's depth, in decimetres.
        image: (S, S, 3) uint8, written.
    """
    size = hit.shape[0]
    norm = 255.0 / (samples * samples)
    for image_row in range(image.shape[0]):
        for image_column in range(image.shape[1]):
            red, green, blue = 0.0, 0.0, 0.0
            for row in range(image_row * samples, (image_row + 1) * samples):
                for column in range(image_column * samples, (image_column + 1) * samples):
                    triangle = hit[row, column]
                    if triangle >= 0:
                        w0, w1 = weights[row, column, 0], weights[row, column, 1]
                        r, g, b = _surface(
                            triangle,
                            w0,
                            w1,
                            faces,
                            materials,
                            attributes,
                            palette,
                            light,
                            blush,
                            pixel,
                        )
                    else:
                        off_x, off_y = column / size - 0.5, row / size - 0.42
                        vignette = 0.10 * (0.4 - off_x * off_x - off_y * off_y)
                        gain = 1.0 - 0.28 * (row / size) + vignette
                        r = _unit(palette[_BACKGROUND, 0] * gain)
                        g = _unit(palette[_BACKGROUND, 1] * gain)
                        b = _unit(palette[_BACKGROUND, 2] * gain)
                    red += r
                    green += g
                    blue += b
            image[image_row, image_column, 0] = np.uint8(red * norm + 0.5)
            image[image_row, image_column, 1] = np.uint8(green * norm + 0.5)
            image[image_row, image_column, 2] = np.uint8(blue * norm + 0.5)
