"""The classifiers and estimates that come from scikit-learn; the only file that knows it.

scikit-learn is an optional dependency, so it is imported when a metric needs it. Settings are those
of disentanglement_lib (86a644d) and of InfoMEC's reference code, with a seed where they had none.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def require_scikit_learn() -> None:
    """Raises ModuleNotFoundError, in plain words, when scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise ModuleNotFoundError(
            "This metric needs the package scikit-learn, which is not installed. "
            "Run: python -m pip install scikit-learn",
            name="scikit-learn",
        ) from error


def boosted_trees(
    x: np.ndarray,
    y: np.ndarray,
    *,
    num_trees: int,
    learning_rate: float,
    seed: int,
    should_stop: Callable[[], bool],
) -> Any:
    """Gradient-boosted trees fitted to x (n, N), y (n,); all other settings are the defaults.

    `should_stop` is asked after each round of trees; no more are grown once it says so.
    """
    require_scikit_learn()
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(
        n_estimators=num_trees, learning_rate=learning_rate, random_state=seed
    )
    return model.fit(x, y, monitor=lambda *_: should_stop())


def linear_svm(x: np.ndarray, y: np.ndarray, *, seed: int) -> Any:
    """A fitted linear support vector machine, C = .01, classes weighted alike."""
    require_scikit_learn()
    from sklearn.svm import LinearSVC

    with _reference_iterations():
        return LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed).fit(x, y)


def logistic_regression(x: np.ndarray, y: np.ndarray) -> Any:
    """A fitted multinomial logistic regression with the default penalty."""
    require_scikit_learn()
    from sklearn.linear_model import LogisticRegression

    with _reference_iterations():
        return LogisticRegression().fit(x, y)


def free_logistic_regression(x: np.ndarray, y: np.ndarray) -> Any:
    """The same without a penalty, classes weighted alike."""
    require_scikit_learn()
    from sklearn.linear_model import LogisticRegression

    with _reference_iterations():
        # How to ask for no penalty differs between versions; a weight of 1e-12 is none in all.
        return LogisticRegression(C=1e12, class_weight="balanced").fit(x, y)


def ranking_areas(is_class: np.ndarray, scores: np.ndarray) -> float:
    """Mean area under the ROC curve over the columns of is_class (n, C) and scores (n, C)."""
    require_scikit_learn()
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_class, scores, average="macro"))


def neighbour_information(x: np.ndarray, y: np.ndarray, *, seed: int) -> float:
    """Nearest-neighbour estimate of the mutual information of x (n,) and the labels y (n,), nats.

    Source: Ross 2014, "Mutual information between discrete and continuous data sets"; 10 neighbours
    """
    require_scikit_learn()
    from sklearn.feature_selection import mutual_info_classif

    estimate = mutual_info_classif(
        x[:, None], y, discrete_features="auto", n_neighbors=10, random_state=seed
    )
    return float(estimate[0])


@contextmanager
def _reference_iterations() -> Iterator[None]:
    """The protocol stops at the default number of iterations, converged or not."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
