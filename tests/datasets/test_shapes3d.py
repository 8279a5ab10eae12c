"""Shapes3D-equivalent: each factor changes what it names, as much as stated, nothing else."""

import numpy as np
import pytest

from comfyui_cldis.datasets.registry import open_factor_data
from comfyui_cldis.datasets.shapes3d import HUES, SCALES, Shapes3D
from comfyui_cldis.datasets.solids import Solid, bounding_sphere, hit_solid

FLOOR, WALL, OBJECT, SCALE, SHAPE, ORIENTATION = range(6)
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)
# 64 combinations of the grid, drawn by the ray caster that this one was written after.
PINNED_MEAN = (127.016, 148.435, 152.338)
PINNED_STD = 101.517
PINNED_PIXELS = {
    (5, 40, 30): (195, 1, 243),
    (17, 50, 32): (0, 128, 128),
    (40, 33, 20): (4, 255, 106),
}


@pytest.fixture(scope="module")
def data():
    return Shapes3D(64)


def combination(**levels):
    row = {"floor": 0, "wall": 4, "thing": 7, "scale": 4, "shape": SPHERE, "orientation": 7}
    return np.array([list({**row, **levels}.values())])


def draw(data, **levels):
    return data.images(combination(**levels))[0].astype(int)


def test_space_is_that_of_shapes3d(data):
    assert data.space.sizes == (10, 10, 10, 8, 4, 15)
    assert data.space.num_combinations == 480_000
    assert data.name == "shapes3d-equivalent"
    # The place of floor 1, wall 2, object 3, scale 4, shape 3, orientation 6 in 3dshapes.h5.
    index = ((((1 * 10 + 2) * 10 + 3) * 8 + 4) * 4 + 3) * 15 + 6
    assert data.space.to_index(np.array([[1, 2, 3, 4, 3, 6]])).tolist() == [index]


def test_images_are_pinned_and_a_batch_equals_singles(data):
    factors = data.space.to_factors(np.arange(64) * 7499 + 11)
    images = data.images(factors)
    assert images.shape == (64, 64, 64, 3)
    assert images.dtype == np.uint8
    assert images.mean(axis=(0, 1, 2)) == pytest.approx(PINNED_MEAN, abs=0.01)
    assert images.std() == pytest.approx(PINNED_STD, abs=0.01)
    for place, pixel in PINNED_PIXELS.items():
        assert images[place] == pytest.approx(pixel, abs=1)
    many = data.images(np.concatenate([factors, factors[:5]]))  # more than are composed at once
    assert np.array_equal(many, np.concatenate([images, images[:5]]))
    assert np.array_equal(data.images(factors[63:]), images[63:])
    assert np.array_equal(Shapes3D(64).images(factors[40:42]), images[40:42])
    assert data.images(factors[:0]).shape == (0, 64, 64, 3)


@pytest.mark.parametrize("name", ["floor", "wall", "thing"])
def test_hue_changes_its_own_surface_and_nothing_else(data, name):
    # In red, green and blue the three channels show one surface each.
    own = {"floor": 0, "wall": 0, "thing": 0}
    black = {level: 5 for level in own}  # cyan: no red
    shown = draw(data, **{**black, name: 0})[..., 0] - draw(data, **black)[..., 0]
    is_own = shown > 0
    assert 0.02 < is_own.mean() < 0.5
    before, after = draw(data, **{name: 2}), draw(data, **{name: 9})
    changed = (before != after).any(axis=2)
    assert np.array_equal(changed, is_own)


def test_surfaces_lie_where_they_should(data):
    image = draw(data, floor=0, wall=5, thing=0, scale=0, shape=SPHERE)
    assert image[0].tolist() == [[153, 226, 249]] * 64  # sky
    assert image[62, 3, 0] > 200 and image[62, 3, 1:].max() == 0  # red floor
    assert image[30, 32, 0] == 0 and image[30, 32, 1] > 180  # cyan wall above a small sphere


@pytest.mark.parametrize("level", range(10))
def test_hues_are_evenly_spaced_and_saturated(level):
    # A hexagon of hues: one channel full, one empty, one between, in steps of 36 degrees.
    red, green, blue = HUES[level]
    angle = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360
    assert max(HUES[level]) == 1 and min(HUES[level]) == 0
    assert abs((angle - 36 * level + 180) % 360 - 180) < 3  # the hexagon is not quite a circle


@pytest.mark.parametrize("scale", [0, 4, 7])
def test_sphere_has_the_width_of_its_projection(data, scale):
    # At distance 1 and focal length 1.06 a sphere of radius r shows 2 * 1.06 r / sqrt(1 - r^2).
    radius = 0.17 * SCALES[scale]
    expected = 64 * 2 * 1.06 * radius / np.sqrt(1 - radius**2)
    red = draw(data, floor=5, wall=5, thing=0, scale=scale, shape=SPHERE)[..., 0]
    blank = draw(data, floor=5, wall=5, thing=5, scale=scale, shape=SPHERE)[..., 0]
    widths = ((red - blank) > 40).sum(axis=1)
    assert abs(widths.max() - expected) <= 1.5


def test_orientation_turns_the_room(data):
    # The right wall comes into sight on one side only, and never at 0 degrees.
    def right_edge(orientation):
        return draw(data, wall=0, orientation=orientation, scale=0)[20:30, -1, 0].mean()

    assert right_edge(14) < 0.9 * right_edge(7)  # the right wall is darker than the back wall
    turned = [draw(data, shape=CUBE, orientation=level) for level in range(15)]
    for one in range(15):
        for other in range(one):
            assert np.abs(turned[one] - turned[other]).mean() > 1


def test_shapes_differ_as_their_names_say(data):
    def silhouette(shape):
        red = draw(data, floor=5, wall=5, thing=0, shape=shape, scale=7)[..., 0]
        blank = draw(data, floor=5, wall=5, thing=5, shape=shape, scale=7)[..., 0]
        rows = ((red - blank) > 40).sum(axis=1)
        return rows[rows > 0]

    cube, cylinder, sphere, capsule = (silhouette(shape) for shape in range(4))
    assert np.ptp(cube[2:-2]) <= 2  # straight sides
    assert np.ptp(cylinder[5:-5]) <= 2
    assert sphere[0] < 0.5 * sphere.max() and sphere[-1] < 0.5 * sphere.max()
    assert len(capsule) > 1.5 * len(cube)  # tall


@pytest.mark.parametrize(("size", "tolerance"), [(16, 1.5), (32, 0.9), (128, 0.6)])
def test_sizes_show_the_same_image(data, size, tolerance):
    factors = data.space.to_factors(np.arange(3) * 199_999)
    small, large = sorted((64, size))

    def at(side):
        return (data if side == 64 else Shapes3D(side)).images(factors).astype(float)

    zoom = large // small
    mean = at(large).reshape(3, small, zoom, small, zoom, 3).mean(axis=(2, 4))
    difference = np.abs(mean - at(small))
    assert difference.mean() < tolerance
    assert difference.max() < 64  # single edge pixels, whose samples lie elsewhere


def test_sizes_out_of_range_are_refused():
    for size in (7, 257):
        with pytest.raises(ValueError, match=f"image_size is {size}.*Use 8 to 256"):
            open_factor_data("shapes3d-equivalent", size)


# Solids


@pytest.mark.parametrize("solid", list(Solid))
def test_rays_end_on_the_solid_and_see_its_outside(solid):
    generator = np.random.default_rng(0)
    centre, radius = bounding_sphere(solid, 1.2)
    origins = generator.normal(size=(4000, 3))
    origins = centre + 3 * origins / np.linalg.norm(origins, axis=1, keepdims=True)
    origins = origins[origins[:, 1] > 0]
    targets = centre + radius * generator.uniform(-1, 1, size=origins.shape)
    rays = targets - origins
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    distances, normals = hit_solid(solid, 1.2, origins, rays)
    is_hit = np.isfinite(distances)
    assert 0.1 < is_hit.mean() < 0.9
    points = (origins + distances[:, None] * rays)[is_hit]
    assert (np.linalg.norm(points - centre, axis=1) <= radius).all()
    assert np.allclose(np.linalg.norm(normals[is_hit], axis=1), 1)
    assert ((normals * rays).sum(axis=1)[is_hit] < 1e-9).all()  # no surface is seen from behind
    # A step along the normal leaves the solid: from there the reversed normal meets it again.
    again, _ = hit_solid(solid, 1.2, points + 0.01 * normals[is_hit], -normals[is_hit])
    assert np.allclose(again, 0.01, atol=1e-6)


def test_distances_by_hand():
    eye, ahead = np.array([[0.0, 0.1, -1.0]]), np.array([[0.0, 0.0, 1.0]])
    for solid, depth in ((Solid.CUBE, 0.145), (Solid.CYLINDER, 0.14)):
        assert hit_solid(solid, 1.0, eye, ahead)[0] == pytest.approx(1 - depth)
    above, down = np.array([[0.0, 1.0, 0.0]]), np.array([[0.0, -1.0, 0.0]])
    for solid, height in zip(Solid, (0.29, 0.32, 0.34, 0.53), strict=True):
        distance, normal = hit_solid(solid, 1.0, above, down)
        assert distance == pytest.approx(1 - height)
        assert normal == pytest.approx(np.array([[0, 1, 0]]))
