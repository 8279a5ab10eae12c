"""beta-TCVAE: a penalty on the total correlation, estimated from the minibatch.

Source: Chen et al. 2018 (arXiv:1802.04942). Its objective, Eq. 4 with alpha = gamma = 1, is
MI + b TC + dimension-wise KL = KL + (b - 1) TC; the penalty here is (b - 1) TC.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...config.objective import Sampling
from .interface import CopilotCode, Objective, ObjectiveDraws
from .plain import gaussian_code


def log_weights(batch_size: int, num_images: int, sampling: Sampling) -> Tensor:
    """(B, B) log-weight of item j in the estimate of the aggregate posterior at sample i.

    "weighted": 1 / (N B) everywhere (minibatch-weighted sampling, Eq. 3). A lower bound of
    log q(z) in expectation; the weights do not sum to 1, which shifts the estimate of the total
    correlation by the constant (dimensions - 1) ln N and leaves gradients alone.

    "stratified": with M = B - 1, 1/N for the item the sample came from, (N - M) / (N M) for one
    other item (the next, cyclically) and 1/M for the rest, which sums to 1 and is unbiased for
    q(z) (minibatch stratified sampling, appendix C.2). The authors' code fills columns in place
    of diagonals of this matrix; ours follows the formula.

    Raises:
        ValueError: "stratified" and a batch larger than the data set of `num_images` (N).
    """
    if sampling == "weighted":
        return torch.full((batch_size, batch_size), -math.log(num_images * batch_size))
    if batch_size > num_images:
        raise ValueError(
            f"The batch has {batch_size} images and the data set {num_images}. Stratified "
            "sampling needs distinct images: use a smaller batch or sampling 'weighted'."
        )
    rest = batch_size - 1
    weights = torch.full((batch_size, batch_size), 1 / rest)
    item = torch.arange(batch_size)
    weights[item, (item + 1) % batch_size] = (num_images - rest) / (num_images * rest)
    weights[item, item] = 1 / num_images
    return weights.log()


def total_correlation(z: Tensor, mu: Tensor, logvar: Tensor, weights: Tensor) -> Tensor:
    """E[ln q(z) - sum_d ln q(z_d)] in nats: z, mu, logvar (B, N), weights (B, B) -> ().

    ln q(z_i) is taken as logsumexp over j of weights[i, j] + ln q(z_i | x_j); mean over i.
    """
    distance = (z[:, None] - mu).square() * torch.exp(-logvar)  # (B, B, N): sample i, item j
    log_density = -0.5 * (distance + logvar + math.log(2 * math.pi))
    joint = torch.logsumexp(weights + log_density.sum(2), dim=1)
    marginals = torch.logsumexp(weights[:, :, None] + log_density, dim=1).sum(1)
    return (joint - marginals).mean()


class BetaTC(Objective):
    """Plain KL + (weight - 1) * total correlation.

    Args:
        weight: the paper's beta, the weight of the total correlation in the whole objective.
        num_images: size of the data set.
        sampling: estimator of the aggregate posterior, see `log_weights`.
    """

    smallest_batch = 2

    def __init__(self, weight: float, num_images: int, sampling: Sampling) -> None:
        super().__init__()
        self.weight = weight
        self.num_images = num_images
        self.sampling: Sampling = sampling

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        code = gaussian_code(mu, logvar, draws.noise)
        weights = log_weights(mu.shape[0], self.num_images, self.sampling).to(mu.device)
        correlation = total_correlation(code.z, mu, logvar, weights)
        return code._replace(kl_penalty=(self.weight - 1) * correlation)
