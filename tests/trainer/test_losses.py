"""Loss terms against torch.distributions and closed forms."""

import math

import torch
from torch.distributions import Normal, kl_divergence

from trainer.losses import distillation, gaussian_kl, gaussian_nll


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


def test_distillation_is_a_weighted_kl_without_gradient_to_the_copilot():
    mu, logvar = torch.randn(32, 4), torch.randn(32, 4) - 1
    other_mu = torch.randn(32, 4, requires_grad=True)
    other_logvar = (torch.rand(32, 4) * -4).requires_grad_()
    weight = gaussian_kl(other_mu, other_logvar)
    weight = weight / (weight + 0.05)
    pairs = kl_divergence(
        Normal(mu, (0.5 * logvar).exp()), Normal(other_mu, (0.5 * other_logvar).exp())
    )
    loss = distillation(mu.requires_grad_(), logvar, other_mu, other_logvar)
    assert torch.allclose(loss, (weight * pairs.mean(0)).mean(), rtol=1e-4)
    loss.backward()
    assert mu.grad is not None and other_mu.grad is None and other_logvar.grad is None


def test_dead_copilot_dimensions_do_not_pull():
    mu, logvar = torch.randn(32, 1), torch.zeros(32, 1)
    dead = distillation(mu, logvar, torch.zeros(32, 1), torch.zeros(32, 1))
    assert float(dead) == 0.0


def test_clamped_target_variance_bounds_the_loss():
    mu = torch.ones(8, 1)
    loss = distillation(mu, torch.zeros(8, 1), torch.zeros(8, 1), torch.full((8, 1), -50.0))
    assert float(loss) <= 0.5 * (-6 + (1 + 1) * math.exp(6) - 1) + 1e-3
