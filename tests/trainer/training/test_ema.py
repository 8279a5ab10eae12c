"""The weight average against sums written out by hand."""

import pytest
import torch
from torch import nn

from trainer.training.ema import WeightAverage, constant_decay, power_decay


def follow(gamma):
    module = nn.Linear(1, 1, bias=False)
    values = [3.0, -1.0, 4.0, 1.0, -5.0]
    with torch.no_grad():
        module.weight.fill_(2.0)
    average = WeightAverage(module, 0.999, gamma)
    for value in values:
        with torch.no_grad():
            module.weight.fill_(value)
        average.update(module)
    return float(average.module.weight), values


def test_constant_profile():
    expected = 2.0
    result, values = follow(None)
    for n, value in enumerate(values, start=1):
        decay = (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay) * value
    assert result == pytest.approx(expected, rel=1e-5)
    assert constant_decay(100_000, 0.999) == 0.999


def test_power_profile_is_a_weighted_mean_by_powers():
    """Karras et al. 2024, Eq. 3: the weight of update n grows like n^gamma for late n."""
    result, values = follow(3.0)
    weights = []
    for n in range(1, 6):
        rest = 1.0
        for later in range(n + 1, 6):
            rest *= (1 - 1 / later) ** 4
        weights.append(rest * (1 - (1 - 1 / n) ** 4))
    assert sum(weights) == pytest.approx(1.0)  # the first weights are forgotten at once
    expected = sum(w * v for w, v in zip(weights, values, strict=True))
    assert result == pytest.approx(expected, rel=1e-5)


def test_power_profile_is_ten_percent_wide_at_the_default():
    """The relative standard deviation of gamma 6.94 is 0.10 (EDM2, section 3.1)."""
    total, density, rest = 20_000, [], 1.0
    for n in range(total, 0, -1):
        decay = power_decay(n, 6.94)
        density.append((n / total, rest * (1 - decay)))
        rest *= decay
    mean = sum(t * w for t, w in density)
    deviation = sum((t - mean) ** 2 * w for t, w in density) ** 0.5
    assert deviation == pytest.approx(0.10, abs=0.002)
