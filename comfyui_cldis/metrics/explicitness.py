"""Explicitness: can every value of every factor be read from the code with a linear classifier?

Source: Ridgeway and Mozer 2018, section 3 (arXiv:1802.05312), as in disentanglement_lib: area under
the one-against-rest ROC curve of a logistic regression on standardised codes, test items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .learners import logistic_regression, ranking_areas
from .representation import NotApplicable, Report, Representation, ignore, standardised


@dataclass(frozen=True)
class ExplicitnessSettings:
    """Items to train and to test on."""

    num_train: int = 10_000
    num_test: int = 5_000
    cap_rows: bool = False


FULL = ExplicitnessSettings()
FAST = ExplicitnessSettings(num_train=2_000, num_test=1_000, cap_rows=True)


def explicitness(
    source: Representation,
    rng: np.random.Generator,
    settings: ExplicitnessSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"explicitness": mean area over values, then over factors}; .5 is chance, 1 the best.

    Values without test items, or without training items, have no area and are left out.
    """
    train, test = source.sample_split(
        rng, settings.num_train, settings.num_test, cap_rows=settings.cap_rows
    )
    codes, test_codes = standardised(train.codes, test.codes)
    scores = []
    for k in range(train.factors.shape[1]):
        model = logistic_regression(codes, train.factors[:, k])
        chances = model.predict_proba(test_codes)  # (n, values seen in training)
        is_value = test.factors[:, [k]] == model.classes_
        scored = is_value.any(axis=0) & ~is_value.all(axis=0)
        if not scored.any():
            raise NotApplicable(f"factor {k} takes one value in all test items")
        scores.append(ranking_areas(is_value[:, scored], chances[:, scored]))
        report((k + 1) / train.factors.shape[1])
    return {"explicitness": float(np.mean(scores))}
