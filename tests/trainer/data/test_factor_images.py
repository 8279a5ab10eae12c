"""Factor data sets as training images: drawn once, from combinations that all differ."""

from dataclasses import replace

import numpy as np
import pytest

from comfyui_cldis.datasets.registry import open_factor_data
from trainer.data import SOURCES, open_images, write_report


def test_grey_images_of_a_coloured_set_are_refused(tmp_path):
    for name in ("shapes3d-equivalent", "heads"):
        with pytest.raises(ValueError, match=f"channels is 1 for '{name}'.*Use channels 3"):
            open_images(name, 16, cache_dir=tmp_path, channels=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_training_images_are_distinct_random_combinations(tmp_path, channels):
    name = "dsprites-equivalent"
    opened = open_images(name, 16, cache_dir=tmp_path, num_images=20, seed=3, channels=channels)
    assert isinstance(opened.images, np.memmap)
    assert opened.images.shape == (20, 16, 16, channels)
    report = opened.report
    assert (report.source, report.found, report.used) == (name, 20, 20)
    # The report names each image by its levels: they lead back to the same pixels.
    data = open_factor_data(name, 16, channels=channels)
    rows, names = zip(*report.findings.samples, strict=True)
    levels = np.array([[int(level) for level in name.split()] for name in names])
    assert len(rows) == 20
    assert len(np.unique(levels, axis=0)) == 20
    assert np.array_equal(data.images(levels), opened.images[list(rows)])
    other = open_images(name, 16, cache_dir=tmp_path, num_images=20, seed=4, channels=channels)
    assert other.report.findings.samples != report.findings.samples


def test_training_images_are_drawn_once(tmp_path, monkeypatch):
    def open_twelve(seed):
        return open_images("shapes3d-equivalent", 8, cache_dir=tmp_path, num_images=12, seed=seed)

    first = open_twelve(0)

    def fail(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr("comfyui_cldis.datasets.shapes3d.Shapes3D.images", fail)
    assert np.array_equal(open_twelve(0).images, first.images)
    assert open_twelve(0).report == first.report
    with pytest.raises(AssertionError, match="drawn again"):
        open_twelve(1)
    monkeypatch.setattr("trainer.data.factor_images.VERSIONS", {"shapes3d-equivalent": 99})
    with pytest.raises(AssertionError, match="drawn again"):
        open_twelve(0)


def test_more_images_than_combinations_are_refused(tmp_path):
    with pytest.raises(ValueError, match="num_images is 480,001, .* has 480,000 images"):
        open_images("shapes3d-equivalent", 8, cache_dir=tmp_path, num_images=480_001)


def test_default_number_is_twenty_thousand(tmp_path, monkeypatch):
    known = SOURCES["shapes3d-equivalent"]
    assert known.num_images == 20_000
    monkeypatch.setitem(SOURCES, known.name, replace(known, num_images=7))
    opened = open_images("shapes3d-equivalent", 8, cache_dir=tmp_path)
    assert opened.images.shape == (7, 8, 8, 3)


def test_report_of_drawn_images_is_written(tmp_path):
    opened = open_images("shapes3d-equivalent", 8, cache_dir=tmp_path / "cache", num_images=10)
    write_report(opened, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "data_report.json",
        "data_report.png",
    }
    assert "  size 8 x 8\n  modes: 10 RGB" in opened.report.describe()
