"""Feedback per dimension: what the diffusion decoder makes much of pays less KL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LIVE = 0.1  # nats: a dimension with less KL says nothing of its rate
USAGE_FLOOR, KL_FLOOR = 0.5, 0.05  # nats, added so that the rate of a dead dimension is harmless


def kl_weights(
    usage: Sequence[float], kl: Sequence[float], exponent: float, largest: float
) -> list[float]:
    """w_i = (R / r_i) ** exponent with r_i = usage_i / KL_i and R their geometric mean: (N,).

    Within [1 / largest, largest]; 1 for dimensions that are not live, and everywhere while nothing
    is measured.

    Args:
        usage: rise of the decoder's loss without the dimension, (N,) nats.
        kl: of the co-pilot, (N,) nats.
    """
    rate = (np.asarray(usage, float) + USAGE_FLOOR) / (np.asarray(kl, float) + KL_FLOOR)
    is_live = np.asarray(kl, float) > LIVE
    weights = np.ones(len(rate))
    if is_live.any() and any(usage):
        usual = np.exp(np.log(rate[is_live]).mean())
        weights[is_live] = np.clip((usual / rate[is_live]) ** exponent, 1 / largest, largest)
    return weights.tolist()
