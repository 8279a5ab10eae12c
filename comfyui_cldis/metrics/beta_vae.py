"""beta-VAE score: can a linear classifier tell which factor the items of each pair share?

One point is the mean absolute difference of 64 pairs of codes. It saturates: many entangled codes
score 1. Source: Higgins et al. 2017, section 3, as in disentanglement_lib.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .learners import logistic_regression
from .representation import NotApplicable, Report, Representation, ignore

_POINTS_AT_ONCE = 128


@dataclass(frozen=True)
class BetaVaeSettings:
    """Points to train and to test on, pairs per point."""

    num_train: int = 10_000
    num_test: int = 5_000
    batch_size: int = 64


FULL = BetaVaeSettings()
FAST = BetaVaeSettings(num_train=300, num_test=300)


def beta_vae(
    source: Representation,
    rng: np.random.Generator,
    settings: BetaVaeSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"beta_vae": accuracy on the test points}."""
    total = settings.num_train + settings.num_test

    def points(count: int, done: int) -> tuple[np.ndarray, np.ndarray]:
        features, labels = [], []
        for start in range(0, count, _POINTS_AT_ONCE):
            held = rng.integers(0, len(source.sizes), size=min(_POINTS_AT_ONCE, count - start))
            first, second = source.sample_sharing(rng, held, settings.batch_size)
            features.append(np.abs(first - second).mean(axis=1))
            labels.append(held)
            report((done + start + len(held)) / total)
        return np.concatenate(features), np.concatenate(labels)

    if len(source.sizes) == 1:
        raise NotApplicable("needs at least 2 factors to tell apart, got 1")
    model = logistic_regression(*points(settings.num_train, 0))
    features, labels = points(settings.num_test, settings.num_train)
    return {"beta_vae": float(np.mean(model.predict(features) == labels))}
