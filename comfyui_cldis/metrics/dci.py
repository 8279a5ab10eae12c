"""DCI: disentanglement, completeness and informativeness, from the importances of boosted trees.

Source: Eastwood and Williams 2018, section 2 (openreview By-7dz-AZ), as in disentanglement_lib: one
GradientBoostingClassifier per factor, D and C weighted by importance. Informativeness is the mean
accuracy on the test items (the paper: an error). Published "DCI" columns are D.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from .learners import boosted_trees, require_scikit_learn
from .representation import Report, Representation, ignore, require


@dataclass(frozen=True)
class DciSettings:
    """Items to train and to test on; trees per class and their learning rate."""

    num_train: int = 10_000
    num_test: int = 5_000
    num_trees: int = 100
    learning_rate: float = 0.1
    cap_rows: bool = False


FULL = DciSettings()
FAST = DciSettings(num_train=2_000, num_test=1_000, num_trees=15, learning_rate=0.2, cap_rows=True)


def dci(
    source: Representation,
    rng: np.random.Generator,
    settings: DciSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"dci_disentanglement", "dci_completeness", "dci_informativeness"}, each in [0, 1].

    The trees of the factors grow in as many threads as there are processors, which joblib counts
    (and the environment variable LOKY_MAX_CPU_COUNT limits). An exception in `report`, which hears
    of each finished factor, ends them all.
    """
    require_scikit_learn()
    from joblib import Parallel, delayed

    train, test = source.sample_split(
        rng, settings.num_train, settings.num_test, cap_rows=settings.cap_rows
    )
    require(train, codes=2, factors=2)
    seeds = rng.integers(2**31, size=train.factors.shape[1])

    stop = threading.Event()

    def fitted(k: int) -> tuple[np.ndarray, float]:
        model = boosted_trees(
            train.codes,
            train.factors[:, k],
            num_trees=settings.num_trees,
            learning_rate=settings.learning_rate,
            seed=int(seeds[k]),
            should_stop=stop.is_set,
        )
        accuracy = np.mean(model.predict(test.codes) == test.factors[:, k])
        return np.abs(model.feature_importances_), float(accuracy)

    # Each factor's trees are their own, so threads change the time and nothing else.
    fits: Any = Parallel(n_jobs=-1, require="sharedmem", return_as="generator")(
        delayed(fitted)(k) for k in range(len(seeds))
    )
    results: list[tuple[np.ndarray, float]] = []
    try:
        for fit in fits:
            results.append(fit)
            report(len(results) / len(seeds))
    except BaseException:
        stop.set()
        for _ in fits:  # each ends at its next tree
            pass
        raise
    importance = np.stack([column for column, _ in results], axis=1)
    accuracies = [accuracy for _, accuracy in results]
    return {
        "dci_disentanglement": disentanglement(importance),
        "dci_completeness": disentanglement(importance.T),
        "dci_informativeness": float(np.mean(accuracies)),
    }


def disentanglement(importance: np.ndarray) -> float:
    """D of an importance matrix (N, K), the mean of 1 - entropy of its rows, weighted by row sums.

    Entropies to the base K; of the transposed matrix this is completeness. 0 for all zeros.
    """
    total = importance.sum()
    if total == 0:
        return 0.0
    share = (importance + 1e-11) / (importance + 1e-11).sum(axis=1, keepdims=True)
    entropy = -np.sum(share * np.log(share), axis=1) / np.log(importance.shape[1])
    return float(np.sum((1 - entropy) * importance.sum(axis=1)) / total)
