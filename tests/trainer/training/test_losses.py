"""Loss terms against torch.distributions and closed forms."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.diffusion.weighting import SNR_CLIP, SNR_FLOOR, loss_weight
from trainer.training.losses import (
    bottleneck,
    distillation,
    gaussian_kl,
    gaussian_nll,
    image_weight,
)


@pytest.mark.parametrize("betas", ["linear", "cosine"])
def test_a_decoder_of_noise_is_not_weighed_by_what_it_cannot_tell(betas):
    config = ScheduleConfig(betas=betas, prediction="eps", zero_terminal_snr=False)
    noise, t = NoiseSchedule(config), torch.tensor([0, 999])
    # at the noisiest steps the squared error of the image would count 24,000 or 400,000,000 times
    assert float(loss_weight(noise, t, gamma=SNR_CLIP, floor=SNR_FLOOR)[1]) > 24_000
    snr = (noise.alphas_bar / (1 - noise.alphas_bar))[t]
    expected = (SNR_CLIP / snr).clamp(max=1.0).float()
    assert torch.allclose(image_weight(noise, t), expected, rtol=1e-3) and expected[1] == 1


def test_a_decoder_of_velocity_is_weighed_by_the_image():
    velocity, t = NoiseSchedule(ScheduleConfig()), torch.tensor([0, 300, 999])
    own = loss_weight(velocity, t, gamma=SNR_CLIP, floor=SNR_FLOOR)
    assert torch.equal(image_weight(velocity, t), own) and own[2] == 1


def test_gaussian_kl():
    mu, logvar = torch.randn(64, 5), torch.randn(64, 5)
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).mean(0)
    assert torch.allclose(gaussian_kl(mu, logvar), expected, atol=1e-5)


def test_gaussian_nll_is_the_likelihood_at_the_best_sigma():
    target, image = torch.randn(8, 3, 4, 4), torch.randn(8, 3, 4, 4)
    sigma = float((image - target).square().mean().sqrt())
    expected = -Normal(image, sigma).log_prob(target).flatten(1).sum(1).mean()
    assert torch.allclose(gaussian_nll(image, target), expected, rtol=1e-5)
    for other in (0.9 * sigma, 1.1 * sigma):
        assert -Normal(image, other).log_prob(target).flatten(1).sum(1).mean() > expected


def test_gradients_of_two_halves_average_to_those_of_the_whole():
    target, scale = torch.randn(8, 3, 4, 4), torch.tensor(0.5, requires_grad=True)
    image = torch.randn(8, 3, 4, 4)
    whole = gaussian_nll(scale * image, target)
    (expected,) = torch.autograd.grad(whole, scale)
    shared = (scale.detach() * image - target).square().mean()
    halves = [
        gaussian_nll(scale * image[part], target[part], average=lambda value: shared)
        for part in (slice(0, 4), slice(4, 8))
    ]
    gradients = [torch.autograd.grad(half, scale)[0] for half in halves]
    assert torch.allclose(sum(gradients) / 2, expected, rtol=1e-4)
    assert torch.allclose(sum(halves) / 2, whole, rtol=1e-5)


def distil(mu, logvar, target_mu, target_logvar, share=0.0, error_variance=0.0):
    kl = gaussian_kl(target_mu, target_logvar)
    return distillation(mu, logvar, target_mu, target_logvar, kl, 0.05, error_variance, share)


def test_distillation_is_a_weighted_kl_without_gradient_to_the_copilot():
    mu, logvar = torch.randn(32, 4), torch.randn(32, 4) - 1
    other_mu = torch.randn(32, 4, requires_grad=True)
    other_logvar = (torch.rand(32, 4) * -4).requires_grad_()
    weight = gaussian_kl(other_mu, other_logvar)
    weight = weight / (weight + 0.05)
    pairs = kl_divergence(
        Normal(mu, (0.5 * logvar).exp()), Normal(other_mu, (0.5 * other_logvar).exp())
    )
    loss = distil(mu.requires_grad_(), logvar, other_mu, other_logvar)
    assert torch.allclose(loss, (weight * pairs.mean(0)).mean(), rtol=1e-4)
    loss.backward()
    assert mu.grad is not None and other_mu.grad is None and other_logvar.grad is None


def test_errors_of_sharp_dimensions_count_alike():
    target_logvar = torch.tensor([[-8.0, -6.0, -2.0]]).expand(16, 3)
    target_mu = torch.ones(16, 3)
    gradients = {}
    for error_variance in (0.0, 0.01):
        mu = torch.full((16, 3), 0.9, requires_grad=True)
        loss = distil(mu, target_logvar, target_mu, target_logvar, 0.0, error_variance)
        (gradient,) = torch.autograd.grad(loss, mu)
        weight = gaussian_kl(target_mu, target_logvar)
        gradients[error_variance] = (gradient[0] / (weight / (weight + 0.05))).tolist()
    sharp, middle, wide = gradients[0.0]
    assert sharp / middle == pytest.approx(math.exp(2), rel=1e-4)  # of the KL itself
    assert gradients[0.01] == pytest.approx([-0.1 / 0.01 / 48, -0.1 / 0.01 / 48, wide], rel=1e-4)
    exact = distil(target_mu, target_logvar, target_mu, target_logvar, 0.0, 0.01)
    assert float(exact) == pytest.approx(0.0, abs=1e-7)


def test_gradient_share_scales_what_the_copilot_gets_and_not_the_value():
    mu, logvar = torch.randn(32, 4), torch.randn(32, 4) - 1
    gradients, values = {}, set()
    for share in (0.1, 1.0):
        other_mu = torch.randn(32, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss = distil(mu, logvar, other_mu, torch.zeros(32, 4), share)
        (gradients[share],) = torch.autograd.grad(loss, other_mu)
        values.add(round(float(loss.detach()), 5))
    assert len(values) == 1
    assert torch.allclose(gradients[0.1], 0.1 * gradients[1.0], rtol=1e-4)


def test_dead_copilot_dimensions_do_not_pull():
    mu, logvar = torch.randn(32, 1), torch.zeros(32, 1)
    dead = distil(mu, logvar, torch.zeros(32, 1), torch.zeros(32, 1))
    assert float(dead) == 0.0


def test_clamped_target_variance_bounds_the_loss():
    mu = torch.ones(8, 1)
    loss = distil(mu, torch.zeros(8, 1), torch.zeros(8, 1), torch.full((8, 1), -50.0))
    assert float(loss) <= 0.5 * (-8 + (1 + 1) * math.exp(8) - 1) + 1e-2


def test_bottleneck_terms():
    kl = torch.tensor(7.0, requires_grad=True)
    assert bottleneck(kl, "controller", 3.0, 5.0).item() == 21.0
    assert bottleneck(kl, "constant", 3.0, 50.0).item() == 21.0
    for capacity in (5.0, 9.0):  # Burgess et al. 2018: gamma |KL - C|
        term = bottleneck(kl, "distance", 1000.0, capacity)
        assert term.item() == 1000.0 * abs(7.0 - capacity)
        assert float(torch.autograd.grad(term, kl)[0]) == (1000.0 if capacity < 7 else -1000.0)
    # the side of C is that of all processes together
    term = bottleneck(kl, "distance", 10.0, 8.0, average=lambda value: value + 2)
    assert float(torch.autograd.grad(term, kl)[0]) == 10.0
