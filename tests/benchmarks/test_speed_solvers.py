"""The solvers that the speed benchmark compares, on data whose exact denoiser is known."""

import pytest
import torch

from benchmarks.speed_solvers import PAIRS
from comfyui_cldis.diffusion.noise import gaussian_noise
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig

STD, MEAN = 0.5, 0.3  # of the data, a Gaussian in each pixel
V = NoiseSchedule(ScheduleConfig())


def gaussian(schedule: NoiseSchedule):
    """The exact denoiser of Gaussian data."""

    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha_bar = schedule.alphas_bar[t].float().view(-1, 1, 1, 1)
        a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        x0 = MEAN + a * STD**2 / (a**2 * STD**2 + s**2) * (x_t - a * MEAN)
        eps = (x_t - a * x0) / s
        return eps if schedule.config.prediction == "eps" else a * eps - s * x0

    return denoise


def images() -> torch.Tensor:
    return MEAN + STD * gaussian_noise((2, 3, 4, 4), seed=1)


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
