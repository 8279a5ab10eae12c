"""Samplers against a denoiser whose exact answer is known, inversion, progress and cancelling."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from comfyui_cldis.diffusion.samplers import INVERSIONS, SAMPLERS, invert, sample
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from tests.diffusion.gaussian_data import gaussian, images

SCHEDULE = NoiseSchedule(ScheduleConfig())
MEAN, STD = 0.3, 0.5


def gaussian_denoiser(x_t, t):
    """Exact velocity when the data are N(MEAN, STD^2) per pixel."""
    alpha_bar = SCHEDULE.alphas_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    gain = signal * STD**2 / (alpha_bar * STD**2 + 1 - alpha_bar)
    x0 = MEAN + gain * (x_t - signal * MEAN)
    eps = (x_t - signal * x0) / noise
    return signal * eps - noise * x0


@pytest.mark.parametrize(
    ("sampler", "tolerance"),
    [("ddim", 0.08), ("ddim_2m", 0.004), ("dpmpp_2m", 0.004), ("unipc", 0.002)],
)
def test_maps_noise_to_the_data_distribution(sampler, tolerance):
    x_T = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = sample(gaussian_denoiser, x_T, SCHEDULE, sampler=sampler, num_steps=50)
    # the exact flow of a Gaussian is affine: x0 = MEAN + STD * x_T
    assert torch.allclose(images, MEAN + STD * x_T, atol=tolerance)
    assert sampler in SAMPLERS


def test_pinned_ddim_numbers():
    x_T = torch.linspace(-2, 2, 3 * 8 * 8).view(1, 3, 8, 8)
    images = sample(gaussian_denoiser, x_T, SCHEDULE, sampler="ddim", num_steps=10)
    assert float(images.sum()) == pytest.approx(57.6, abs=1e-2)
    assert float(images.abs().mean()) == pytest.approx(0.4815, abs=1e-4)


@pytest.mark.parametrize("num_steps", [5, 20])
def test_inversion_comes_back_and_beats_the_usual_one(num_steps):
    x0 = MEAN + STD * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def error(corrections):
        steps = {"num_steps": num_steps}
        more = {"inversion": "ddim", "num_corrections": corrections}
        x_T = invert(gaussian_denoiser, x0, SCHEDULE, **steps, **more)
        back = sample(gaussian_denoiser, x_T, SCHEDULE, sampler="ddim", **steps)
        return float((back - x0).abs().mean())

    assert error(5) < 1e-4
    assert error(1) < 0.2 * error(0)


def test_inversion_with_noise_prediction():
    config = ScheduleConfig(
        betas="linear", prediction="eps", zero_terminal_snr=False, spacing="trailing"
    )
    schedule = NoiseSchedule(config)

    def denoiser(x_t, t):
        alpha_bar = schedule.alphas_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
        gain = alpha_bar.sqrt() * STD**2 / (alpha_bar * STD**2 + 1 - alpha_bar)
        x0 = MEAN + gain * (x_t - alpha_bar.sqrt() * MEAN)
        return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()

    x0 = MEAN + STD * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    errors = []
    for corrections in (0, 1, 4):
        x_T = invert(denoiser, x0, schedule, inversion="ddim", num_corrections=corrections)
        errors.append(float((sample(denoiser, x_T, schedule, sampler="ddim") - x0).abs().mean()))
    assert errors[1] < 0.5 * errors[0] and errors[2] < 2e-3, errors


@pytest.mark.parametrize("inversion", INVERSIONS)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 4])
def test_inversion_of_very_few_steps_stays_finite(num_steps, inversion):
    x0 = MEAN + STD * torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    x_T = invert(gaussian_denoiser, x0, SCHEDULE, inversion=inversion, num_steps=num_steps)
    assert bool(torch.isfinite(x_T).all()) and float(x_T.abs().max()) < 10


@pytest.mark.parametrize("name", INVERSIONS)
def test_progress_cancel_and_no_mutation(name):
    x_T = torch.randn(1, 3, 8, 8)
    before = x_T.clone()
    seen = []
    draw, find = partial(sample, sampler=name), partial(invert, inversion=name)
    draw(gaussian_denoiser, x_T, SCHEDULE, num_steps=6, on_step=seen.append)
    assert [step.index for step in seen] == list(range(6)) and seen[0].total == 6
    assert seen[0].x0.shape == x_T.shape
    assert torch.equal(x_T, before)

    class Cancelled(Exception):
        pass

    calls = []

    def cancel(step):
        calls.append(step.index)
        if step.index == 2:
            raise Cancelled

    for run in (draw, find):
        calls.clear()
        with pytest.raises(Cancelled):
            run(gaussian_denoiser, x_T, SCHEDULE, num_steps=6, on_step=cancel)
        assert calls == [0, 1, 2]


def test_global_random_state_is_untouched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for sampler in SAMPLERS:
        sample(gaussian_denoiser, torch.zeros(1, 3, 8, 8), SCHEDULE, sampler=sampler, num_steps=3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("num_steps", [0, 1001, -3])
def test_bad_number_of_steps(num_steps):
    with pytest.raises(ValueError, match=f"number of steps is {num_steps}. Use 1 to 1000"):
        sample(gaussian_denoiser, torch.zeros(1, 3, 8, 8), SCHEDULE, num_steps=num_steps)


@pytest.mark.parametrize("prediction", ["v", "eps"])
@pytest.mark.parametrize("name", INVERSIONS)
def test_any_number_of_steps_comes_back_as_closely_as_one_that_divides(name, prediction):
    published = {"betas": "linear", "zero_terminal_snr": False, "spacing": "leading"}
    options = published if prediction == "eps" else {}
    schedule = NoiseSchedule(ScheduleConfig(prediction=prediction, **options))
    denoiser, x0 = gaussian(schedule), images()

    def error(steps):
        x_T = invert(denoiser, x0, schedule, inversion=name, num_steps=steps)
        back = sample(denoiser, x_T, schedule, sampler=name, num_steps=steps)
        return float((back - x0).abs().max())

    errors = {steps: error(steps) for steps in (50, 60, 61, 103, 150)}
    assert max(errors.values()) < 1.5 * errors[50] + 1e-4, errors


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "unipc"])
def test_higher_orders_do_not_jump_to_the_last_timestep_of_the_published_schedule(sampler):
    options = {"betas": "linear", "prediction": "eps", "zero_terminal_snr": False}
    schedule = NoiseSchedule(ScheduleConfig(spacing="leading", **options))
    x_T = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    drawn = sample(gaussian(schedule), x_T, schedule, sampler=sampler, num_steps=40)
    assert float((drawn - (MEAN + STD * x_T)).square().mean().sqrt()) < 0.006


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_number_of_steps_draws_the_data(sampler, spacing):
    config = ScheduleConfig(num_train_steps=50, zero_terminal_snr=spacing == "trailing")
    schedule = NoiseSchedule(replace(config, spacing=spacing))
    x_T = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for steps in (29, 30, 31, 49, 50):  # 29 and 31: diffusers adds a timestep below 0
        drawn = sample(gaussian(schedule), x_T, schedule, sampler=sampler, num_steps=steps)
        assert float((drawn - (MEAN + STD * x_T)).abs().max()) < 0.15, steps
