"""Pinned schedule values, conversions and loss weights."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from comfyui_cldis.diffusion.noise import gaussian_noise
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.diffusion.weighting import loss_weight

OURS = NoiseSchedule(ScheduleConfig())
OFFICIAL = NoiseSchedule(
    ScheduleConfig(betas="linear", prediction="eps", zero_terminal_snr=False, spacing="leading")
)


def test_pinned_values():
    ours, official = OURS.alphas_bar, OFFICIAL.alphas_bar
    assert ours.shape == official.shape == (1000,)
    assert float(ours[-1]) == 0.0
    assert float(ours[0]) == pytest.approx(0.999959, abs=1e-5)
    assert float(ours[500]) == pytest.approx(0.492265, abs=1e-5)
    # closed form of the linear schedule: product of 1 - beta
    betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    assert torch.allclose(official, (1 - betas).cumprod(0), atol=1e-5)
    assert bool((ours.diff() < 0).all()) and bool((official.diff() < 0).all())


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("total", [10, 50, 100, 1000])
def test_timesteps_are_as_many_as_asked_for_and_those_of_diffusers_where_they_divide(
    total, spacing
):
    schedule = NoiseSchedule(ScheduleConfig(num_train_steps=total, spacing=spacing))
    theirs = schedule.scheduler("ddim")
    for num_steps in range(1, total + 1):
        ours = schedule.timesteps(num_steps)
        assert len(ours) == num_steps and ours[-1] >= 0 and ours[0] < total
        gaps = {first - second for first, second in pairwise(ours)}
        assert min(gaps, default=1) >= 1 and max(gaps, default=1) - min(gaps, default=1) <= 1
        assert ours[0] >= total - 1 - total / num_steps  # begins at noise
        if total % num_steps == 0:
            theirs.set_timesteps(num_steps)
            assert ours == theirs.timesteps.tolist()


@pytest.mark.parametrize("schedule", [OURS, OFFICIAL], ids=["v", "eps"])
def test_conversions_agree(schedule):
    x0, eps = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
    t = torch.tensor([0, 300, 700, 990])
    x_t, target = schedule.add_noise(x0, eps, t), schedule.target(x0, eps, t)
    assert torch.allclose(schedule.to_x0(x_t, target, t)[:3], x0[:3], atol=1e-3)


def test_loss_weight_in_image_terms():
    t = torch.arange(1000)
    snr = OURS.alphas_bar / (1 - OURS.alphas_bar)
    plain = loss_weight(OURS, t, gamma=5.0, floor=0.0)
    assert torch.allclose(plain.double(), snr.clamp(max=5) / (snr + 1), atol=1e-6)
    assert float(plain[-1]) == 0.0  # plain min-SNR ignores the step where only z speaks
    floored = loss_weight(OURS, t, gamma=5.0, floor=1.0)
    assert float(floored[-1]) == 1.0 and bool((floored >= plain).all())


class NoFloat64(TorchDispatchMode):
    """As a device that knows no float64: here "meta"."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.is_meta:
            assert found.dtype != torch.float64, func
        return found


def test_a_device_without_float64_will_do():
    x, t = torch.zeros(2, 3, 8, 8, device="meta"), torch.tensor([5, 900], device="meta")
    with NoFloat64():
        for schedule in (OURS, OFFICIAL):
            schedule.clipped(x, schedule.to_x0(x, schedule.to_eps(x, x, t), t), t)
            schedule.add_noise(x, x, t)


def test_noise_depends_on_the_seed_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    batch = gaussian_noise((3, 2, 4, 4), seed=7)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(batch[2:], gaussian_noise((1, 2, 4, 4), seed=9))
    with pytest.raises(ValueError, match="Seed -1"):
        gaussian_noise((1, 1), seed=-1)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="'sigmoid'.*cosine, linear"):
        ScheduleConfig(betas="sigmoid")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prediction 'v'"):
        ScheduleConfig(prediction="eps")
    for total in (-3, 9, 10_001, 10**9):
        with pytest.raises(ValueError, match=f"num_train_steps is {total}. Use 10 to 10000"):
            ScheduleConfig(num_train_steps=total)
    with pytest.raises(ValueError, match="Unknown sampler 'euler'.*ddim, dpmpp_2m, unipc"):
        OURS.scheduler("euler")


def test_ddim_loads_no_other_scheduler():
    # those of DPM-Solver++ and UniPC load scipy.stats, about a second that DDIM does not need
    code = (
        "import sys; from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig; "
        "NoiseSchedule(ScheduleConfig()).scheduler('ddim'); "
        "print([name for name in sys.modules if 'multistep' in name or name == 'scipy.stats'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
