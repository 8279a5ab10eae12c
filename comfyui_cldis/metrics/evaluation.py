"""All labelled metrics by name, run on one representation, with the two controls of every table."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import (
    active,
    beta_vae,
    dci,
    explicitness,
    factor_vae,
    gaps,
    infomec,
    irs,
    modularity,
    omes,
    sap,
)
from .pool import Pooled
from .representation import CodesOf, NotApplicable, Report, Representation

# One more whenever a metric gives other numbers. 2: OMES with all of its pairs; 3: FactorVAE has
# none for one factor, where noise had 1.
VERSION = 3
Progress = Callable[[str, float], None]  # the metric's name, the fraction of it that is done


@dataclass(frozen=True)
class Metric:
    """`compute(source, rng, settings, report)` returns numbers under `keys`.

    `fast` equals `full` where the full protocol is cheap already.
    """

    compute: Callable[..., dict[str, float]]
    keys: tuple[str, ...]
    full: Any
    fast: Any


METRICS: dict[str, Metric] = {
    "factor_vae": Metric(factor_vae.factor_vae, ("factor_vae",), factor_vae.FULL, factor_vae.FAST),
    "dci": Metric(
        dci.dci,
        ("dci_disentanglement", "dci_completeness", "dci_informativeness"),
        dci.FULL,
        dci.FAST,
    ),
    "mig": Metric(gaps.mig, ("mig",), gaps.FULL, gaps.FULL),
    "dmig": Metric(gaps.dmig, ("dmig",), gaps.FULL, gaps.FULL),
    "sap": Metric(sap.sap, ("sap",), sap.FULL, sap.FAST),
    "modularity": Metric(modularity.modularity, ("modularity",), modularity.FULL, modularity.FULL),
    "explicitness": Metric(
        explicitness.explicitness, ("explicitness",), explicitness.FULL, explicitness.FAST
    ),
    "beta_vae": Metric(beta_vae.beta_vae, ("beta_vae",), beta_vae.FULL, beta_vae.FAST),
    "irs": Metric(irs.irs, ("irs",), irs.FULL, irs.FULL),
    "infomec": Metric(infomec.infomec, ("infom", "infoe", "infoc"), infomec.FULL, infomec.FAST),
    "omes": Metric(omes.omes, ("omes", "omes_pairs"), omes.FULL, omes.FAST),
    "active_dims": Metric(active.active_dims, ("active_dims",), active.FULL, active.FULL),
}


def evaluate(
    representation: Representation,
    metrics: Iterable[str] = tuple(METRICS),
    *,
    seed: int = 0,
    fast: bool = False,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a representation; the result is JSON-able.

    Metrics share the items they only look at (`Pooled`) and draw their votes and pairs each from
    its own generator, so no value depends on which others are asked for.

    Returns:
        The numbers of all metrics side by side under their keys, and `protocol` ("full" or "fast"),
        `seed`, `settings` (per metric), `representation` (facts) and `skipped` (metric -> reason).
        A metric that has no value for this representation is None and among the skipped.

    Raises:
        ValueError: an unknown metric, none at all, or none that has a value.
        ModuleNotFoundError: scikit-learn is needed and not installed.
    """
    names = checked_names(metrics)
    source = Pooled(representation, seed)
    scores: dict[str, float | None] = {}
    skipped: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for name in names:
        metric = METRICS[name]
        chosen = metric.fast if fast else metric.full
        settings[name] = asdict(chosen)
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        try:
            found = metric.compute(source, rng, chosen, _report(name, on_progress))
        except NotApplicable as error:
            skipped[name] = str(error)
            found = dict.fromkeys(metric.keys)
        scores |= found
        _report(name, on_progress)(1.0)
    if len(skipped) == len(names):
        reasons = "; ".join(f"{name} {reason}" for name, reason in skipped.items())
        raise ValueError(f"None of the metrics asked for has a value: {reasons}.")
    return scores | {
        "protocol": "fast" if fast else "full",
        "seed": seed,
        "settings": settings,
        "representation": representation.describe(),
        "skipped": skipped,
    }


def controls(
    representation: Representation,
    metrics: Iterable[str] = tuple(METRICS),
    *,
    seed: int = 0,
    fast: bool = False,
    on_progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """The same scores of an oracle code and of a random rotation of it, from the same source.

    `on_progress` hears "oracle: mig" and the like. A metric whose oracle is far from 1 or whose
    rotation is close to it says little about the representation either.
    """
    names = checked_names(metrics)
    sources = {
        "oracle": oracle(representation),
        "random_rotation": random_rotation(representation, seed),
    }
    return {
        control: evaluate(
            source,
            names,
            seed=seed,
            fast=fast,
            on_progress=_prefixed(control.replace("_", " "), on_progress),
        )
        for control, source in sources.items()
    }


def oracle(representation: Representation) -> Representation:
    """The source with its K standardised factors as code."""
    return representation.recoded(_standardised_factors(representation), "oracle")


def random_rotation(representation: Representation, seed: int = 0) -> Representation:
    """The source with the oracle code turned by a rotation drawn uniformly from all."""
    straight = _standardised_factors(representation)
    rotation = _rotation(len(representation.sizes), np.random.default_rng(seed))
    return representation.recoded(
        lambda factors: straight(factors) @ rotation, "random rotation of the oracle"
    )


def checked_names(metrics: Iterable[str]) -> tuple[str, ...]:
    """The names without repeats, in the order given; ValueError for an unknown one or for none."""
    names = tuple(dict.fromkeys(metrics))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        fact = f"There is no metric named {', '.join(unknown)}" if unknown else "No metric is named"
        raise ValueError(f"{fact}. Choose among {', '.join(METRICS)}.")
    return names


def _standardised_factors(representation: Representation) -> CodesOf:
    # Recoded first, so that no image is encoded for it.
    factors = representation.recoded(lambda values: values, "factors")
    sample = factors.sample(np.random.default_rng(0), 10_000).factors
    mean, deviation = sample.mean(axis=0), sample.std(axis=0)
    return lambda values: (values - mean) / deviation


def _rotation(size: int, rng: np.random.Generator) -> np.ndarray:
    """A Haar-distributed rotation (size, size), determinant 1."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    q = q * np.sign(np.diag(r))  # without this the distribution is not uniform
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return q


def _report(name: str, on_progress: Progress | None) -> Report:
    return lambda fraction: on_progress(name, fraction) if on_progress else None


def _prefixed(prefix: str, on_progress: Progress | None) -> Progress | None:
    return (
        None if on_progress is None else lambda name, done: on_progress(f"{prefix}: {name}", done)
    )
