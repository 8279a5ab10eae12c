"""SAP: how much better the best single dimension predicts each factor than the runner-up.

Source: Kumar et al. 2018, section 3 (arXiv:1711.00848), as in disentanglement_lib for discrete
factors: a linear support vector machine per dimension and factor, accuracy on test items. A linear
machine separates only the ends of an ordered factor, so even the oracle code stays below 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .learners import linear_svm
from .representation import Report, Representation, ignore, require


@dataclass(frozen=True)
class SapSettings:
    """Items to train and to test on."""

    num_train: int = 10_000
    num_test: int = 5_000
    cap_rows: bool = False


FULL = SapSettings()
FAST = SapSettings(num_train=2_000, num_test=1_000, cap_rows=True)


def sap(
    source: Representation,
    rng: np.random.Generator,
    settings: SapSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"sap": mean over the factors of the gap between the two best accuracies}."""
    train, test = source.sample_split(
        rng, settings.num_train, settings.num_test, cap_rows=settings.cap_rows
    )
    require(train, codes=2)
    accuracy = np.empty((train.codes.shape[1], train.factors.shape[1]))
    for i, k in np.ndindex(*accuracy.shape):
        model = linear_svm(train.codes[:, [i]], train.factors[:, k], seed=int(rng.integers(2**31)))
        accuracy[i, k] = np.mean(model.predict(test.codes[:, [i]]) == test.factors[:, k])
        report((i * accuracy.shape[1] + k + 1) / accuracy.size)
    ordered = np.sort(accuracy, axis=0)
    return {"sap": float(np.mean(ordered[-1] - ordered[-2]))}
