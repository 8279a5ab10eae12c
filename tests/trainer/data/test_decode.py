"""From one image file to the model's square: resize rules, what is counted, the budget."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from trainer.data.budget import Budget
from trainer.data.decode import MAX_PIXELS, decode_image

ORANGE = (250, 128, 10)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(data, image_size=8, channels=3, resize="crop"):
    return decode_image(data, image_size, channels, resize).pixels


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_becomes_a_square_and_its_own_size_is_kept(kind):
    decoded = decode_image(encoded(Image.new("RGB", (240, 160), ORANGE), kind), 8, 3)
    assert decoded.pixels.shape == (8, 8, 3)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width, decoded.height, decoded.mode) == (240, 160, "RGB")
    assert np.abs(decoded.pixels.astype(int) - ORANGE).max() <= 4


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_turned_jpeg_is_cropped_upright_although_it_is_decoded_small(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    tall = np.zeros((1281, 641, 3), dtype=np.uint8)
    tall[300:980] = ORANGE  # the central square, and some more
    data = encoded(Image.fromarray(tall), "JPEG", exif=exif.tobytes(), quality=95)
    decoded = decode_image(data, 8, 3)
    size = (641, 1281) if orientation == 1 else (1281, 641)
    assert (decoded.width, decoded.height) == size
    assert np.abs(decoded.pixels.astype(int) - ORANGE).max() <= 4


def test_grey_output_has_one_channel():
    pixels = pixels_of(encoded(Image.new("RGB", (20, 20), ORANGE)), channels=1)
    assert pixels.shape == (8, 8, 1)
    # ITU-R 601: 0.299 * 250 + 0.587 * 128 + 0.114 * 10 = 151.0
    assert np.abs(pixels.astype(int) - 151).max() <= 1


def test_one_bit_shrinks_to_greys():
    stripes = np.zeros((16, 16), dtype=bool)
    stripes[:, :7] = True
    pixels = pixels_of(encoded(Image.fromarray(stripes)))
    assert pixels[:, :3].min() >= 250
    assert pixels[:, 4:].max() <= 5
    assert 100 < pixels[4, 3, 0] < 160  # half of this pixel is white


# Resize rules


@pytest.mark.parametrize("is_tall", [False, True])
def test_crop_keeps_the_central_square(is_tall):
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 200
    image = wide.swapaxes(0, 1) if is_tall else wide
    assert pixels_of(encoded(Image.fromarray(np.ascontiguousarray(image))), 5).min() == 200


@pytest.mark.parametrize("is_tall", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_pad_equals_repeating_the_edge_first(is_tall, channels):
    noise = np.random.default_rng(0).integers(80, 176, (40, 97, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(noise).resize((194, 80)))
    if is_tall:
        wide = np.ascontiguousarray(wide.swapaxes(0, 1))
        padded = np.pad(wide, ((0, 0), (57, 57), (0, 0)), mode="edge")
    else:
        padded = np.pad(wide, ((57, 57), (0, 0), (0, 0)), mode="edge")
    expected = pixels_of(encoded(Image.fromarray(padded)), 32, channels)
    actual = pixels_of(encoded(Image.fromarray(wide)), 32, channels, "pad")
    assert actual.shape == (32, 32, channels)
    assert np.abs(actual.astype(int) - expected).max() <= 2


def test_pad_of_a_line_needs_no_large_square():
    gradient = np.linspace(0, 255, 20000).astype(np.uint8)[None].repeat(2, axis=0)
    pixels = pixels_of(encoded(Image.fromarray(gradient)), 16, 1, "pad")[..., 0].astype(int)
    assert np.abs(pixels - pixels[:1]).max() == 0
    # The middle of pixel i of 16 shows the level 255 * (i + 0.5) / 16.
    assert np.abs(pixels[0] - 255 * (np.arange(16) + 0.5) / 16).max() <= 2


def test_stretch_shows_everything():
    halves = np.zeros((10, 40, 3), dtype=np.uint8)
    halves[:, 20:] = 200
    pixels = pixels_of(encoded(Image.fromarray(halves)), 8, resize="stretch").astype(int)
    assert pixels[:, :3].max() < 15
    assert np.abs(pixels[:, 5:] - 200).max() < 15


def test_small_images_are_enlarged():
    assert np.array_equal(
        pixels_of(encoded(Image.new("RGB", (1, 1), ORANGE)), 8), np.full((8, 8, 3), ORANGE)
    )


def test_pad_of_a_long_image_takes_memory_in_proportion_to_its_length():
    strip = encoded(Image.new("RGB", (20000, 60), ORANGE))
    tracemalloc.start()
    try:
        pixels = pixels_of(strip, 16, 3, "pad")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (pixels == ORANGE).all()
    assert peak < 20000 * 16 * 3 * 4  # bytes; the square would take 1.2 GB


# The budget


def test_more_pixels_than_memory_is_meant_for_are_refused():
    budget = Budget(100 * 100)
    image = Image.new("RGB", (200, 100))
    with pytest.raises(ValueError, match="200 x 100 pixels; at most 10,000 are .*smaller copy"):
        decode_image(encoded(image), 8, 3, budget=budget)
    # A JPEG of that size is decoded at an eighth and fits.
    assert decode_image(encoded(image, "JPEG"), 8, 3, budget=budget).width == 200


def test_the_largest_jpeg_fits():
    assert MAX_PIXELS >= (65500 / 8) ** 2


def test_pixels_are_given_back_after_success_and_failure():
    budget = Budget(64 * 64)
    whole = encoded(Image.effect_noise((64, 64), 50))
    for _ in range(3):
        assert decode_image(whole, 8, 3, budget=budget).width == 64
        with pytest.raises(ValueError, match="cut off: its end is missing"):
            decode_image(whole[:900], 8, 3, budget=budget)
