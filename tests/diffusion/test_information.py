"""The I-MMSE estimate on a Gaussian channel whose information is known exactly."""

import torch

from comfyui_cldis.diffusion.information import estimate_information, stratified_log_snr


def test_gaussian_channel():
    """x ~ N(0, diag(v)), z = x + n: I(x; z) = 1/2 sum ln(1 + v / n); both denoisers are linear."""
    variances = torch.tensor([4.0, 3.0, 2.0, 1.5, 1.0, 0.8, 0.5, 0.3], dtype=torch.float64)
    channel_noise = 0.3
    exact = 0.5 * torch.log1p(variances / channel_noise).sum()
    generator = torch.Generator().manual_seed(0)
    count = 40_000
    x = variances.sqrt() * torch.randn(count, 8, generator=generator, dtype=torch.float64)
    z = x + channel_noise**0.5 * torch.randn(count, 8, generator=generator, dtype=torch.float64)
    posterior_variance = variances * channel_noise / (variances + channel_noise)
    posterior_mean = z * variances / (variances + channel_noise)

    def noise_estimate(x_level, log_snr, mean, variance):
        signal = torch.sigmoid(log_snr)[:, None]
        gain = signal.sqrt() * variance / (signal * variance + 1 - signal)
        x0 = mean + gain * (x_level - signal.sqrt() * mean)
        return (x_level - signal.sqrt() * x0) / (1 - signal).sqrt()

    estimate = estimate_information(
        x,
        lambda x_level, level: noise_estimate(x_level, level, posterior_mean, posterior_variance),
        lambda x_level, level: noise_estimate(x_level, level, 0.0, variances),
        generator=generator,
        window=(-12.0, 12.0),
    )
    assert abs(estimate.orthogonal - float(exact)) < 0.02 * float(exact)
    assert abs(estimate.direct - float(exact)) < 0.02 * float(exact)


def test_a_code_that_is_not_used_carries_nothing():
    x = torch.randn(64, 8)
    generator = torch.Generator().manual_seed(0)
    estimate = estimate_information(
        x, lambda a, _: 0.1 * a, lambda a, _: 0.1 * a, generator=generator
    )
    assert estimate.orthogonal == estimate.direct == 0.0


def test_draws_are_stratified():
    draws = stratified_log_snr(8, (-6.0, 8.0), torch.Generator().manual_seed(0))
    cells = ((draws + 6) / 14 * 8).floor().int().tolist()
    assert cells == list(range(8))
