"""JointVAE: the last dimensions are groups of class probabilities, the others Gaussian.

Source: Dupont 2018 (arXiv:1804.00104), section 3; Gumbel-softmax: Maddison et al. 2017
(arXiv:1611.00712), Jang et al. 2017 (arXiv:1611.01144).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .interface import CopilotCode, Objective, ObjectiveDraws
from .plain import gaussian_code

VARIANCE_FLOOR = 1e-3


def gumbel_softmax(log_probability: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Relaxed one-hot sample: (B, K) log-probabilities and uniform numbers -> (B, K)."""
    limits = torch.finfo(torch.float32)
    gumbel = -torch.log(-torch.log(uniform.float().clamp(limits.tiny, 1 - limits.eps)))
    return torch.softmax((log_probability + gumbel) / temperature, dim=1)


def categorical_kl(log_probability: Tensor) -> Tensor:
    """KL(Cat(p) || uniform) spread over its K classes, batch mean: (B, K) -> (K,), nats.

    Class k gets p_k ln(K p_k) - p_k + 1/K: never negative, 0 at p_k = 1/K, and the sum is the
    KL, ln K + sum_k p_k ln p_k, because the last two parts cancel.
    """
    num_classes = log_probability.shape[1]
    p = log_probability.exp()
    return (p * (log_probability + math.log(num_classes)) - p + 1 / num_classes).mean(0)


class Joint(Objective):
    """Gaussian dimensions, then one group of K classes for each entry of `sizes`.

    The groups' logits are the encoder's mu there; its logvar is not used. As moments for the
    distillation they give those of the one-hot vector: mean p, variance p (1 - p) + 0.001.

    penalty = weight * |KL_c - C_c|, with KL_c the KL of all groups and C_c = min(capacity,
    sum ln K). KL_c enters `kl` as a number without gradient, so that the bottleneck moves the
    Gaussian part only, towards C - KL_c, however large kl_weight is: the paper's two separate
    capacities.

    Args:
        weight: the paper's gamma of the discrete part.
        sizes: number of classes of each group.
        capacity: C_c in nats; None for sum ln K, where every group is certain.
        temperature: of the Gumbel-softmax.
    """

    def __init__(
        self, weight: float, sizes: tuple[int, ...], capacity: float | None, temperature: float
    ) -> None:
        super().__init__()
        self.weight = weight
        self.sizes = sizes
        largest = sum(math.log(size) for size in sizes)
        self.capacity = largest if capacity is None else min(capacity, largest)
        self.temperature = temperature

    def mean_code(self, mu: Tensor) -> Tensor:
        gaussian, *groups = mu.split([mu.shape[1] - sum(self.sizes), *self.sizes], 1)
        return torch.cat([gaussian, *(torch.softmax(logits, dim=1) for logits in groups)], 1)

    def code(self, mu: Tensor, logvar: Tensor, draws: ObjectiveDraws) -> CopilotCode:
        num_gaussian = mu.shape[1] - sum(self.sizes)
        gaussian = gaussian_code(
            mu[:, :num_gaussian], logvar[:, :num_gaussian], draws.noise[:, :num_gaussian]
        )
        parts = [num_gaussian, *self.sizes]
        means, logvars, samples = [gaussian.mu], [gaussian.logvar], [gaussian.z]
        kls: list[Tensor] = []
        groups = zip(mu.split(parts, 1)[1:], draws.uniform.split(parts, 1)[1:], strict=True)
        for logits, uniform in groups:
            log_probability = torch.log_softmax(logits, dim=1)
            p = log_probability.exp()
            means.append(p)
            logvars.append((p * (1 - p) + VARIANCE_FLOOR).log())
            samples.append(gumbel_softmax(log_probability, uniform, self.temperature))
            kls.append(categorical_kl(log_probability))
        discrete = torch.cat(kls)
        return CopilotCode(
            mu=torch.cat(means, 1),
            logvar=torch.cat(logvars, 1),
            z=torch.cat(samples, 1),
            kl=torch.cat([gaussian.kl, discrete.detach()]),
            penalty=self.weight * (discrete.sum() - self.capacity).abs(),
            kl_penalty=mu.new_zeros(()),
        )
