"""The solvers that the speed benchmark compares, on data whose exact denoiser is known."""

import pytest
import torch

from benchmarks.speed_solvers import PAIRS
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from tests.diffusion.gaussian_data import gaussian, images

V = NoiseSchedule(ScheduleConfig())


@pytest.mark.parametrize("name", ["ddim corrected twice", "ddim_2m uncorrected", "ddim_2m", "bdia"])
def test_a_pair_gives_images_back(name):
    pair, x0 = PAIRS[name], images()
    x_T = pair.invert(gaussian(V), x0, V, 50)
    assert float((pair.draw(gaussian(V), x_T, V, 50) - x0).abs().max()) < 6e-3  # ddim: 0.08


def test_bdia_gives_images_back_at_any_number_of_steps():
    pair, x0 = PAIRS["bdia"], images()
    for steps in (4, 10, 20):
        states = pair.invert(gaussian(V), x0, V, steps)
        assert states.shape == (2, *x0.shape)
        assert torch.allclose(pair.draw(gaussian(V), states, V, steps), x0, atol=1e-4)


def test_evaluations():
    x0 = images()
    counted = {}
    for name, pair in PAIRS.items():
        calls = 0

        def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return gaussian(V)(x_t, t)

        x_T = pair.invert(denoise, x0, V, 20)
        inverting = calls
        pair.draw(denoise, x_T, V, 20)
        counted[name] = (inverting, calls - inverting)
    assert counted == {
        "ddim": (20, 20),
        "ddim corrected": (21, 20),
        "ddim corrected twice": (41, 20),
        "dpmpp_2m": (21, 20),
        "unipc": (21, 20),
        "ddim_2m uncorrected": (20, 20),
        "ddim_2m": (21, 20),
        "bdia": (20, 19),
    }
