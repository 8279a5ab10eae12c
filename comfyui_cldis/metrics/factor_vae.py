"""FactorVAE score: can the factor that was held fixed be told from the dimension that varies least?

Source: Kim and Mnih 2018, section 4 (arXiv:1802.05983), as in disentanglement_lib: variances with
divisor n - 1, dimensions pruned by their global deviation, a majority vote per dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .active import MIN_SD
from .representation import NotApplicable, Report, Representation, ignore, standard_deviations

_VOTES_AT_ONCE = 128


@dataclass(frozen=True)
class FactorVaeSettings:
    """Items for the global variances, votes, items per vote, least deviation to be used."""

    num_variance: int = 10_000
    num_train: int = 10_000
    num_test: int = 5_000
    batch_size: int = 64
    min_sd: float = MIN_SD


FULL = FactorVaeSettings()
FAST = FactorVaeSettings(num_train=500, num_test=500)


def factor_vae(
    source: Representation,
    rng: np.random.Generator,
    settings: FactorVaeSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"factor_vae": accuracy on the test votes}; 0 when no dimension is active.

    Raises:
        NotApplicable: there is one factor, which every vote names.
    """
    if len(source.sizes) == 1:
        raise NotApplicable("needs at least 2 factors to tell apart, got 1")
    deviations = standard_deviations(source.sample(rng, settings.num_variance).codes)
    active = np.flatnonzero(deviations >= settings.min_sd)
    if not len(active):
        return {"factor_vae": 0.0}
    variances = deviations[active] ** 2
    num_factors = len(source.sizes)
    total = settings.num_train + settings.num_test

    def votes(count: int, done: int) -> np.ndarray:
        """(active dimensions, factors) counts of `count` votes."""
        table = np.zeros((len(active), num_factors), dtype=np.int64)
        for start in range(0, count, _VOTES_AT_ONCE):
            held = rng.integers(0, num_factors, size=min(_VOTES_AT_ONCE, count - start))
            codes = source.sample_fixed(rng, held, settings.batch_size)[..., active]
            least = np.argmin(codes.var(axis=1, ddof=1) / variances, axis=1)
            np.add.at(table, (least, held), 1)
            report((done + start + len(held)) / total)
        return table

    return {
        "factor_vae": vote_accuracy(
            votes(settings.num_train, 0), votes(settings.num_test, settings.num_train)
        )
    }


def vote_accuracy(train: np.ndarray, test: np.ndarray) -> float:
    """Accuracy on the `test` votes of the majority of the `train` votes; both (N, K) counts."""
    factor_of = np.argmax(train, axis=1)
    return float(test[np.arange(len(test)), factor_of].sum() / test.sum())
