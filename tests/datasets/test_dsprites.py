"""dSprites-equivalent: areas, positions and angles by formula, and pinned images."""

import numpy as np
import pytest

from comfyui_cldis.datasets.dsprites import DSprites

SQUARE, ELLIPSE, HEART = range(3)
# 64 combinations of the grid, drawn by the rasteriser that this one was written after.
PINNED_MEAN, PINNED_STD = 6.70713, 39.56601
PINNED_SUMS = [12508, 12688, 12620, 12688, 17604, 18232, 18432, 18232]


@pytest.fixture(scope="module")
def data():
    return DSprites(64)


def brightness(data, *rows):
    return data.images(np.array(rows))[..., 0] / 255.0


def centroid(image):
    """(x, y) in pixels, the left and upper edge of the image at 0."""
    places = np.arange(len(image)) + 0.5
    return image.sum(axis=0) @ places / image.sum(), image.sum(axis=1) @ places / image.sum()


def test_space_is_that_of_dsprites(data):
    assert data.space.sizes == (3, 6, 40, 32, 32)
    assert data.space.num_combinations == 737_280
    assert (data.name, data.channels) == ("dsprites-equivalent", 1)


def test_images_are_pinned(data):
    images = data.images(data.space.to_factors(np.arange(64) * 11519 + 7))
    assert images.shape == (64, 64, 64, 1)
    assert images.mean() == pytest.approx(PINNED_MEAN, abs=0.001)
    assert images.std() == pytest.approx(PINNED_STD, abs=0.001)
    assert np.abs(images[:8].astype(int).sum(axis=(1, 2, 3)) - PINNED_SUMS).max() <= 64


def test_batch_equals_singles(data):
    factors = data.space.to_factors(np.arange(50) * 14_701)
    images = data.images(factors)
    for row in (0, 17, 49):
        assert np.array_equal(images[row], DSprites(64).images(factors[row : row + 1])[0])
    assert data.images(factors[:0]).shape == (0, 64, 64, 1)


@pytest.mark.parametrize("scale", range(6))
def test_areas(data, scale):
    radius = 8.6 * (0.5 + 0.1 * scale)
    square, ellipse, _ = brightness(data, *([shape, scale, 3, 9, 20] for shape in range(3)))
    assert square.sum() == pytest.approx((2 * 0.82 * radius) ** 2, rel=0.02)
    assert ellipse.sum() == pytest.approx(np.pi * 1.15 * 0.575 * radius**2, rel=0.02)


@pytest.mark.parametrize("size", [32, 64, 100, 128])
@pytest.mark.parametrize("shape", range(3))
def test_position_moves_the_centroid_by_a_64th_of_the_image(size, shape):
    data = DSprites(size)
    zoom = size / 64
    start = np.array(centroid(brightness(data, [shape, 5, 4, 0, 0])[0]))
    for x, y in ((1, 0), (0, 1), (31, 7), (12, 31)):
        moved = np.array(centroid(brightness(data, [shape, 5, 4, x, y])[0]))
        assert moved - start == pytest.approx(np.array([x, y]) * zoom, abs=0.02 * zoom)
    if shape != HEART:  # its centre is the point it turns around
        assert start == pytest.approx(np.array([16, 16]) * zoom, abs=0.05 * zoom)


def test_nothing_is_cut_off_at_the_border(data):
    for shape in range(3):
        corner, middle = brightness(data, [shape, 5, 5, 0, 0], [shape, 5, 5, 16, 16])
        assert corner.sum() == pytest.approx(middle.sum(), rel=1e-9)
        corner = brightness(data, [shape, 5, 5, 31, 31])[0]
        assert corner.sum() == pytest.approx(middle.sum(), rel=1e-9)


@pytest.mark.parametrize("angle", [0, 3, 10, 17, 25, 39])
def test_orientation_turns_by_nine_degrees_a_level(data, angle):
    image = brightness(data, [ELLIPSE, 5, angle, 16, 16])[0]
    places = np.arange(64) + 0.5 - 32
    xx = (image * places[None, :] ** 2).sum()
    yy = (image * places[:, None] ** 2).sum()
    xy = (image * places[None, :] * places[:, None]).sum()
    axis = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))  # of the long half-axis, y downwards
    assert abs((axis - 9 * angle + 90) % 180 - 90) < 1


def test_symmetric_sprites_come_back_and_the_heart_does_not(data):
    turns = [brightness(data, *([shape, 4, a, 5, 5] for a in range(40))) for shape in range(3)]

    def distinct(images):
        return len({image.tobytes() for image in np.round(images * 16)})

    assert distinct(turns[SQUARE]) == 10
    assert distinct(turns[ELLIPSE]) == 20
    assert distinct(turns[HEART]) == 40


def test_edges_are_antialiased(data):
    levels = np.unique(data.images(np.array([[HEART, 5, 3, 9, 9]])))
    assert levels[0] == 0 and levels[-1] == 255
    assert len(levels) > 8


@pytest.mark.parametrize("size", [7, 513])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(ValueError, match=f"image_size is {size}.*Use 8 to 512"):
        DSprites(size)


def test_levels_out_of_range_are_refused(data):
    with pytest.raises(ValueError, match="orientation is 40 in row 0. Use 0 to 39"):
        data.images(np.array([[0, 0, 40, 0, 0]]))
