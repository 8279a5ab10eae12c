"""How many dimensions of a code vary at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .representation import Report, Representation, ignore, standard_deviations

MIN_SD = 0.05  # disentanglement_lib prunes below it; absolute, so scale codes before scoring them


@dataclass(frozen=True)
class ActiveSettings:
    """Items, and the least standard deviation of an active dimension."""

    num_train: int = 10_000
    min_sd: float = MIN_SD


FULL = ActiveSettings()


def active_dims(
    source: Representation,
    rng: np.random.Generator,
    settings: ActiveSettings = FULL,
    report: Report = ignore,
) -> dict[str, float]:
    """{"active_dims": dimensions whose standard deviation is at least `min_sd`}."""
    deviations = standard_deviations(source.sample(rng, settings.num_train).codes)
    return {"active_dims": int(np.count_nonzero(deviations >= settings.min_sd))}
