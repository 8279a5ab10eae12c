"""The drawn sources of images: which there are, and what a mistyped one may have meant."""

import pytest

from comfyui_cldis.datasets.names import FACTOR_NAMES
from comfyui_cldis.datasets.registry import open_factor_data
from trainer.data import BUILT_IN_SOURCES, open_images
from trainer.data.sources import require_source


def test_names_of_training_images_and_of_factor_data_are_the_same():
    assert set(BUILT_IN_SOURCES) == set(FACTOR_NAMES)


def test_a_source_that_does_not_exist_names_the_nearest(tmp_path):
    require_source("heads")
    require_source(str(tmp_path))
    names = "heads, shapes3d-equivalent, dsprites-equivalent"
    with pytest.raises(FileNotFoundError, match=f"headz. Did you mean 'heads'. .*one of {names}"):
        require_source("headz")
    (tmp_path / "faces").mkdir()
    with pytest.raises(FileNotFoundError, match="Did you mean '.*faces'"):
        open_images(str(tmp_path / "face"), 8, cache_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="Did you mean 'dsprites-equivalent'"):
        open_factor_data("dsprites-equivalen", 32)
