"""Held-out images: how many, which, never trained on, and no twin of them either."""

import numpy as np
import pytest

from trainer.data.holdout import ImageRows, first_alike, hold_out, num_held_out


def random_images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def as_set(images) -> set[bytes]:
    return {images[row].tobytes() for row in range(len(images))}


@pytest.mark.parametrize(
    ("num_images", "share", "expected"),
    [
        (319, 0.02, 0),
        (320, 0.02, 32),
        (2000, 0.02, 40),
        (100_000, 0.02, 256),
        (1000, 0.1, 100),
        (1000, 0.0, 0),
    ],
)
def test_number_held_out(num_images, share, expected):
    assert num_held_out(num_images, share) == expected


def test_held_out_images_are_none_of_the_training():
    images = random_images(400)
    training, held = hold_out(images, 0.02, seed=3)
    assert held is not None and (len(training), len(held)) == (368, 32)
    assert training.shape == (368, 4, 4, 3) and training.ndim == 4
    assert not as_set(training) & as_set(held)
    assert as_set(training) | as_set(held) == as_set(images)


def test_the_choice_is_random_and_belongs_to_the_seed():
    images = random_images(2000)
    rows = [hold_out(images, 0.02, seed=seed).held_out.rows for seed in (1, 1, 2)]
    assert np.array_equal(rows[0], rows[1]) and not np.array_equal(rows[0], rows[2])
    assert rows[0].min() < 300 and rows[0].max() > 1700  # spread, not an end of the folder


def test_a_twin_of_a_held_out_image_is_not_trained_on():
    images = np.concatenate([random_images(330), random_images(330)])  # every image twice
    training, held = hold_out(images, 0.02, seed=0)
    assert held is not None and (len(training), len(held)) == (660 - 64, 32)
    assert not as_set(training) & as_set(held) and len(as_set(held)) == 32


def test_a_set_with_few_different_images_holds_none_out():
    images = np.concatenate([random_images(200)] * 2)
    training, held = hold_out(images, 0.02, seed=0)
    assert held is None and training is images


def test_images_that_share_a_line_are_distinguished():
    images = random_images(5)
    images[:, 2] = 7  # the line that is looked at first
    images[4] = images[1]
    assert first_alike(images).tolist() == [0, 1, 2, 3, 1]


def test_rows_are_read_like_an_array():
    images = random_images(10)
    rows = np.array([2, 5, 7, 8])
    view = ImageRows(images, rows)
    assert np.array_equal(view[np.array([3, 0])], images[[8, 2]])
    assert np.array_equal(view[1:3], images[[5, 7]])
    assert np.array_equal(view[1], images[5])
