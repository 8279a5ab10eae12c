"""What the diffusion decoder uses of each dimension: how much worse it gets without it, in nats.

u_i = D / 2 ln(L_i / L), L the weighted diffusion loss with the code of the image and L_i with
dimension i taken from another image: the price of the dimension in the likelihood of `gradient`.
A decoder that ignores a dimension has u_i = 0 up to the noise of the measurement, about a nat;
nothing else bounds u_i, so that it is no information: an image of D values may gain hundreds of
nats from one bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.model import TrainedNetworks

from ..losses import image_weight


class UsageDraws(NamedTuple):
    """Everything random in a measurement; first axis: items. `shift`: whose code is borrowed."""

    t: Tensor
    eps: Tensor
    shift: int

    def part(self, items: slice) -> UsageDraws:
        """The draws of some items."""
        return UsageDraws(self.t[items], self.eps[items], self.shift)


def draw_usage(
    num_items: int, image_shape: Sequence[int], num_timesteps: int, generator: torch.Generator
) -> UsageDraws:
    """Draw for all items of a measurement: noises, and timesteps stratified over all of them.

    Args:
        num_items: two at least, since dimensions are borrowed.
    """
    strata = (torch.arange(num_items) + torch.rand(num_items, generator=generator)) / num_items
    shift = 1 + int(torch.randint(num_items - 1, (), generator=generator))
    return UsageDraws(
        t=(strata * num_timesteps).long().clamp(max=num_timesteps - 1),
        eps=torch.randn(num_items, *image_shape, generator=generator),
        shift=shift,
    )


@torch.no_grad()
def measure_losses(
    networks: TrainedNetworks,
    schedule: NoiseSchedule,
    x0: Tensor,
    codes: Tensor,
    first: int,
    draws: UsageDraws,
) -> Tensor:
    """Sums of the diffusion loss over some items, (N + 1,): each dimension borrowed, then none.

    Args:
        x0: these images (b, C, S, S).
        codes: of all items of the measurement (n, N), from which dimensions are borrowed.
        first: place of the first of these items among all.
        draws: of these b items, on the CPU.
    """
    t, eps = draws.t.to(x0.device), draws.eps.to(x0.device)
    x_t = schedule.add_noise(x0, eps, t)
    target = schedule.target(x0, eps, t)
    weight = image_weight(schedule, t)
    here = slice(first, first + len(x0))
    own, borrowed = codes[here], codes.roll(draws.shift, 0)[here]
    residual = networks.encode_semantic(x0).residual
    sums = []
    for index in [*range(codes.shape[1]), None]:
        z = own.clone()
        if index is not None:
            z[:, index] = borrowed[:, index]
        error = (networks.predict(x_t, t, z, residual) - target).square().flatten(1).mean(1)
        sums.append((weight * error).sum())
    return torch.stack(sums)


def usage_of(losses: Sequence[float], num_values: int) -> list[float]:
    """u_i in nats, at least 0, from the mean losses (N + 1,) of `measure_losses`."""
    *without, whole = losses
    return [
        max(0.0, num_values / 2 * math.log(max(each, 1e-12) / max(whole, 1e-12)))
        for each in without
    ]


def used_share(usage: Sequence[float], kl: Sequence[float]) -> float:
    """Share of the co-pilot's nats in dimensions that the decoder makes use of, in [0, 1].

    A dimension that stores KL_i nats counts for as many of them as it saves the decoder:
    sum_i min(u_i, KL_i) / sum_i KL_i; 0 where nothing is stored.
    """
    stored = sum(kl)
    return sum(map(min, usage, kl)) / stored if stored > 0 else 0.0
