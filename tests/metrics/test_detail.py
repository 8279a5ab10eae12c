"""The share of detail that an edit keeps: by hand, its bounds, and of an enlarged head."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.checkpoint import demo_image_paths
from comfyui_cldis.metrics.detail import detail_kept


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, shape)


def everywhere(images: np.ndarray) -> np.ndarray:
    return np.ones((len(images), 1, *images.shape[2:]))


def test_by_hand():
    original = np.array([[[[0.0, 3.0], [1.0, 5.0]]]])  # 9 + 16 across, 1 + 4 down
    result = np.array([[[[0.0, 1.0], [2.0, 2.0]]]])  # 1 + 0 across, 4 + 1 down
    assert detail_kept(result, original, everywhere(original)) == pytest.approx([6 / 30])
    # the lesser of the two weights: the last pixel's pairs, 16 across and 4 down, count half
    weights = np.array([[[[1.0, 1.0], [1.0, 0.5]]]])
    assert detail_kept(result, original, weights) == pytest.approx([(1 + 4 + 0.5) / (10 + 10)])


def test_the_original_and_one_shifted_in_brightness_keep_all_detail():
    images = noise(3, 4, 9, 12)
    assert detail_kept(images, images, everywhere(images)) == pytest.approx([1, 1, 1])
    assert detail_kept(images + 0.3, images, everywhere(images)) == pytest.approx([1, 1, 1])
    assert detail_kept(images / 2, images, everywhere(images)) == pytest.approx([0.25] * 3)


def test_a_head_enlarged_from_64_pixels_keeps_an_eighth_of_its_detail():
    with Image.open(demo_image_paths()[1]) as file:
        head = file.convert("RGB")
    small = head.resize((64, 64), Image.Resampling.BOX)
    large = small.resize(head.size, Image.Resampling.BICUBIC)
    pair = [np.asarray(image).transpose(2, 0, 1)[None] for image in (large, head)]
    kept = detail_kept(pair[0], pair[1], everywhere(pair[1]))
    assert 0.08 < kept[0] < 0.16


def test_what_may_change_does_not_count_and_nor_does_its_border():
    original = noise(2, 3, 10, 10)
    result, weights = original.copy(), everywhere(original)
    result[:, :, 3:6, 4:8] = 7.0
    weights[:, :, 3:6, 4:8] = 0
    assert detail_kept(result, original, weights) == pytest.approx([1, 1])
    assert (detail_kept(result, original, everywhere(original)) > 2).all()


def test_a_batch_equals_its_items_and_bytes_do_not_wrap_around():
    originals = (noise(3, 3, 8, 8) * 255).astype(np.uint8)
    results = (noise(3, 3, 8, 8, seed=1) * 200).astype(np.uint8)
    weights = noise(3, 1, 8, 8, seed=2)
    whole = detail_kept(results, originals, weights)
    assert whole.shape == (3,) and whole.dtype == np.float64
    for index in range(3):
        one = slice(index, index + 1)
        assert detail_kept(results[one], originals[one], weights[one]) == whole[index]
    assert detail_kept(results / 255, originals / 255, weights) == pytest.approx(whole)


def test_no_detail_to_keep_is_no_number():
    images = noise(2, 1, 5, 5)
    images[0] = 0.5
    weights = everywhere(images)
    found = detail_kept(images, images, weights)
    assert np.isnan(found[0]) and found[1] == 1
    assert np.isnan(detail_kept(images, images, weights * 0)).all()
    assert detail_kept(images[:0], images[:0], weights[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("results", "originals", "weights", "words"),
    [
        ((1, 3, 4, 4), (1, 3, 4, 5), (1, 1, 4, 5), r"\(1, 3, 4, 4\) and the originals .* 2 x 2"),
        ((1, 3, 1, 5), (1, 3, 1, 5), (1, 1, 1, 5), "at least 2 x 2"),
        ((3, 4, 4), (3, 4, 4), (1, 4, 4), r"Give both as \(n, C, H, W\)"),
        ((2, 3, 4, 4), (2, 3, 4, 4), (1, 1, 4, 4), r"Give them as \(2, 1, 4, 4\)"),
        ((2, 3, 4, 4), (2, 3, 4, 4), (2, 4, 4), r"Give them as \(2, 1, 4, 4\)"),
    ],
)
def test_other_shapes_are_refused(results, originals, weights, words):
    with pytest.raises(ValueError, match=words):
        detail_kept(np.zeros(results), np.zeros(originals), np.zeros(weights))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_weights_out_of_range_are_refused(value):
    images, weights = noise(1, 1, 3, 3), np.ones((1, 1, 3, 3))
    weights[0, 0, 1, 1] = value
    with pytest.raises(ValueError, match=r"within \[0, 1\]. Give 1 for what should stay"):
        detail_kept(images, images, weights)
