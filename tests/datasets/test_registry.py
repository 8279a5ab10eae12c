"""Factor data sets by name: what they offer, and what is refused."""

import numpy as np
import pytest

from comfyui_cldis.datasets.names import FACTOR_NAMES
from comfyui_cldis.datasets.registry import factor_space, is_factor_source, open_factor_data


@pytest.mark.parametrize("name", FACTOR_NAMES)
def test_every_name_opens_and_keeps_its_word(name):
    if name == "heads":
        pytest.importorskip("numba", reason="the heads are rendered with numba (extra: train)")
    data = open_factor_data(name, 16)
    assert data.name == name
    assert data.image_size == 16
    factors = data.space.to_factors(np.array([0, data.space.num_combinations - 1]))
    images = data.images(factors)
    assert images.shape == (2, 16, 16, data.channels)
    assert images.dtype == np.uint8
    rgb = open_factor_data(name, 16, channels=3).images(factors)
    assert np.array_equal(rgb, np.broadcast_to(images, (2, 16, 16, 3)))
    with pytest.raises(ValueError, match="The factors have shape"):
        data.images(np.zeros((1, 99), dtype=int))


def test_heads_are_the_generators_heads_at_evenly_spaced_values():
    pytest.importorskip("numba", reason="the heads are rendered with numba (extra: train)")
    from comfyui_cldis.datasets.heads import FACTORS, render_heads

    data = open_factor_data("heads", 32)
    assert data.space.names == tuple(factor.name for factor in FACTORS)
    assert data.space.sizes == (10,) * 11
    levels = np.stack([np.zeros(11, int), np.full(11, 9), np.arange(11) % 10])
    values = np.array(
        [
            [factor.minimum for factor in FACTORS],
            [factor.maximum for factor in FACTORS],
            [f.minimum + (f.maximum - f.minimum) * (k % 10) / 9 for k, f in enumerate(FACTORS)],
        ]
    )
    low, high = values[0], values[1]
    assert np.array_equal(data.images(levels), render_heads(np.clip(values, low, high), 32))


@pytest.mark.parametrize("name", FACTOR_NAMES)
def test_a_folder_called_like_a_set_does_not_stand_in_for_it(name, tmp_path, monkeypatch):
    if name == "heads":
        pytest.importorskip("numba", reason="the heads are rendered with numba (extra: train)")
    (tmp_path / name).mkdir()
    (tmp_path / name / "car.mat").touch()  # as Cars3D has them
    wanted = open_factor_data(name, 16).space.names, is_factor_source(name)
    monkeypatch.chdir(tmp_path)
    assert (factor_space(name).names, is_factor_source(name)) == wanted


def test_grey_images_of_a_coloured_set_are_refused():
    with pytest.raises(ValueError, match="channels is 1 for 'shapes3d-equivalent'"):
        open_factor_data("shapes3d-equivalent", 16, channels=1)
    with pytest.raises(ValueError, match="channels is 2. Use 1"):
        open_factor_data("dsprites-equivalent", 16, channels=2)
    with pytest.raises(ValueError, match="image_size is 0"):
        open_factor_data("dsprites-equivalent", 0)
