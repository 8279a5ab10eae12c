"""The procedural heads: deterministic, row by row independent, and each factor visible."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("numba", reason="the heads are rendered with numba (extra: train)")

from comfyui_cldis.checkpoint import demo_image_paths
from comfyui_cldis.datasets.heads import FACTORS, render_dataset, render_heads, sample_factors
from comfyui_cldis.datasets.heads.__main__ import main
from trainer.data import open_images

# Of 16 heads of seed 0 at 64 px.
PINNED_MEAN = (159.71, 131.62, 111.11)
PINNED_STD = 63.40
PINNED_PIXEL = (134, 82, 59)
MIDDLE = np.array([(factor.minimum + factor.maximum) / 2 for factor in FACTORS])


def test_factor_rows_depend_only_on_seed_and_index():
    long, short = sample_factors(8, seed=3), sample_factors(5, seed=3)
    assert np.array_equal(long[:5], short)
    assert not np.isclose(long, sample_factors(8, seed=4)).any()


def test_factors_fill_their_ranges():
    rows = sample_factors(2000, seed=0)
    low = np.array([factor.minimum for factor in FACTORS])
    high = np.array([factor.maximum for factor in FACTORS])
    unit = (rows - low) / (high - low)
    assert ((unit >= 0) & (unit <= 1)).all()
    assert np.allclose(unit.mean(axis=0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(unit.T) - np.eye(len(FACTORS))).max() < 0.1


def test_images_are_pinned():
    images = render_heads(sample_factors(16, seed=0), 64)
    assert images.shape == (16, 64, 64, 3)
    assert images.dtype == np.uint8
    assert images.mean(axis=(0, 1, 2)) == pytest.approx(PINNED_MEAN, abs=0.1)
    assert images.std() == pytest.approx(PINNED_STD, abs=0.1)
    assert images[3, 40, 30] == pytest.approx(PINNED_PIXEL, abs=2)


def test_data_set_equals_rows_rendered_alone_whatever_the_threads():
    factors = sample_factors(20, seed=5)
    images = np.zeros((20, 32, 32, 3), dtype=np.uint8)
    finished = []
    render_dataset(20, 32, 5, images, workers=3, on_progress=finished.append)
    assert sum(finished) == 20
    assert np.array_equal(images, render_heads(factors, 32))
    assert np.array_equal(images[17:18], render_heads(factors[17:18], 32))


@pytest.mark.parametrize("column", range(len(FACTORS)), ids=[factor.name for factor in FACTORS])
def test_each_factor_changes_the_image(column):
    rows = np.stack([MIDDLE, MIDDLE])
    rows[:, column] = FACTORS[column].minimum, FACTORS[column].maximum
    low, high = render_heads(rows, 64).astype(float)
    assert np.abs(high - low).mean() > 1.0


def test_size_changes_detail_but_not_the_image():
    rows = sample_factors(2, seed=1)
    large = render_heads(rows, 128).astype(float)
    halved = large.reshape(2, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - render_heads(rows, 64)).mean() < 2.0


def test_hair_has_strands_where_pixels_are_small_enough_for_them():
    """Fair hair down to the brows: how often brightness turns along a row of the forehead."""
    rows = MIDDLE[None].copy()
    names = [factor.name for factor in FACTORS]
    rows[0, [names.index("fringe"), names.index("hair_color")]] = 1.0, 0.8
    turns = {}
    for size in (80, 512):
        top, bottom, left, right = np.array([30, 90, 190, 320]) * size // 512
        hair = render_heads(rows, size)[0, top:bottom, left:right].astype(float).mean(axis=2)
        slopes = np.diff(hair, axis=1)
        turns[size] = (slopes[:, 1:] * slopes[:, :-1] < 0).sum(axis=1).mean()
    assert turns[80] < 4 and turns[512] > 8


def test_the_sample_images_are_what_the_command_writes(tmp_path):
    """`python -m comfyui_cldis.datasets.heads --output DIR --size 512`"""
    samples = demo_image_paths()
    assert len(samples) == 8 and sum(path.stat().st_size for path in samples) <= 1.5e6
    assert main(["--output", str(tmp_path), "--size", "512", "--count", "2"]) == 0
    for path in samples[:2]:
        with Image.open(path) as kept, Image.open(tmp_path / path.name) as drawn:
            assert kept.size == (512, 512) and kept.mode == "RGB"
            difference = np.abs(np.asarray(kept).astype(int) - np.asarray(drawn))
        assert difference.mean() < 0.1


@pytest.mark.parametrize("bad", [np.nan, 7.0])
def test_factor_out_of_range_is_named(bad):
    rows = MIDDLE[None].copy()
    rows[0, 5] = bad
    with pytest.raises(ValueError, match=r"mood is .*Use a value from -1.0 to 1.0"):
        render_heads(rows, 32)


def test_wrong_shapes_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"Give \(n, 11\)"):
        render_heads(np.zeros((2, 3)), 32)
    with pytest.raises(ValueError, match="image_size is 8"):
        render_heads(MIDDLE[None], 8)
    with pytest.raises(ValueError, match="Allocate it as .* uint8"):
        render_dataset(2, 32, 0, np.zeros((2, 32, 32, 3)))


def test_heads_open_by_name_and_are_cached(tmp_path, monkeypatch):
    first = open_images("heads", 32, cache_dir=tmp_path, num_images=6, seed=2)
    assert isinstance(first.images, np.memmap)
    assert first.images.shape == (6, 32, 32, 3)
    assert (first.report.source, first.report.found, first.report.used) == ("heads", 6, 6)

    def fail(*_, **__):
        raise AssertionError("rendered again")

    monkeypatch.setattr("trainer.data.head_images.render_dataset", fail)
    again = open_images("heads", 32, cache_dir=tmp_path, num_images=6, seed=2)
    assert np.array_equal(first.images, again.images)
    with pytest.raises(AssertionError, match="rendered again"):
        open_images("heads", 32, cache_dir=tmp_path, num_images=6, seed=3)
    assert not list(tmp_path.glob("*.part"))


def test_heads_are_colour_only(tmp_path):
    with pytest.raises(ValueError, match="RGB"):
        open_images("heads", 32, cache_dir=tmp_path, num_images=1, channels=1)
