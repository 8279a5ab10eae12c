"""How much information about the image the diffusion decoder draws from the code, in nats.

I-MMSE relation: I(x; z) = 1/2 * integral over log-SNR lambda of
E[|eps - eps0(x_lambda)|^2 - |eps - eps(x_lambda, z)|^2], errors summed over the image. For ideal
denoisers the integrand equals E|eps0 - eps_z|^2 (orthogonal form), which has low variance but
counts the errors of both branches as information; the direct form counts only the null branch's.
Source: Guo et al. 2005 (cs/0412108); Kong et al. 2023 (arXiv:2302.03792).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LOG_SNR_WINDOW = (-6.0, 8.0)
NoisePredictor = Callable[[Tensor, Tensor], Tensor]


class InformationEstimate(NamedTuple):
    """Estimates in nats per image; `window` is the log-SNR range they cover."""

    orthogonal: float
    direct: float
    window: tuple[float, float]


def stratified_log_snr(
    num_samples: int, window: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """(num_samples,) float64: one uniform draw from each of equally wide strata of `window`."""
    low, high = window
    offsets = torch.rand(num_samples, generator=generator, dtype=torch.float64)
    return low + (high - low) * (torch.arange(num_samples) + offsets) / num_samples


@torch.no_grad()
def estimate_information(
    x0: Tensor,
    predict_with_code: NoisePredictor,
    predict_without: NoisePredictor,
    *,
    generator: torch.Generator | None = None,
    window: tuple[float, float] = LOG_SNR_WINDOW,
    log_snr: Tensor | None = None,
    eps: Tensor | None = None,
) -> InformationEstimate:
    """Estimate I(x; z) on a batch, in float32 with one log-SNR per item.

    Args:
        x0: images (B, ...), any scale the denoisers expect.
        predict_with_code: (x_lambda, log_snr (B,)) -> noise estimate given z.
        predict_without: the same under the null condition.
        generator: CPU generator for the draws that are not given.
        window: log-SNR range integrated over; what lies outside is not counted.
        log_snr: (B,) draws to use in place of stratified ones (levels of a discrete schedule).
        eps: noise of the shape of x0 to use in place of fresh noise.

    Returns:
        Both forms of the estimate, mean over the batch.
    """
    if log_snr is None:
        assert generator is not None, "log-SNR draws need a generator"
        log_snr = stratified_log_snr(x0.shape[0], window, generator)
    if eps is None:
        eps = torch.randn(x0.shape, generator=generator, dtype=torch.float32).to(x0.device)
    shape = (-1, *[1] * (x0.dim() - 1))
    level = log_snr.to(x0.device)
    signal = torch.sigmoid(level).sqrt().view(shape).to(x0.dtype)
    noise = torch.sigmoid(-level).sqrt().view(shape).to(x0.dtype)
    x_level = signal * x0 + noise * eps
    with_code = predict_with_code(x_level, level).float()
    without = predict_without(x_level, level).float()
    half_width = (window[1] - window[0]) / 2

    def integral(gap: Tensor) -> float:
        return float(half_width * gap.flatten(1).sum(1).mean())

    return InformationEstimate(
        orthogonal=integral((without - with_code).square()),
        direct=integral((eps - without).square() - (eps - with_code).square()),
        window=window,
    )
