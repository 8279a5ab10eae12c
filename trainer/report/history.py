"""A run's records as series: joint phase, trends and the co-pilot's dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..training.record import TrainingRecord, finite

MINIMUM_RECORDS = 12  # fewer records after the co-pilot's warm-up are too few to assess a run
END_SHARE = 0.1  # "at the end" is the last tenth of the records
USED_DIMENSION = 0.1  # nats: a dimension with more KL counts as used
SIGNIFICANT = 2.0  # standard errors a change needs to count


@dataclass(frozen=True)
class Run:
    """What the rules look at.

    Attributes:
        records: all records, in the order of their steps.
        joint: those after the co-pilot's warm-up, in which both branches train.
        config: nested mapping as in config.json, or empty.
    """

    records: Sequence[TrainingRecord]
    joint: Sequence[TrainingRecord]
    config: Mapping[str, Any]

    def setting(self, *path: str) -> float | None:
        """A number of the configuration, None when it is not known."""
        return finite(self._find(path))

    def choice(self, *path: str) -> str | None:
        """A word of the configuration, None when it is not known."""
        value = self._find(path)
        return value if isinstance(value, str) else None

    def choices(self, *path: str) -> tuple[float, ...]:
        """A list of numbers of the configuration, empty when it is not known."""
        value = self._find(path)
        found = [finite(item) for item in value] if isinstance(value, list | tuple) else []
        return tuple(item for item in found if item is not None)

    def words(self, *path: str) -> tuple[str, ...]:
        """A list of words of the configuration, empty when it is not known."""
        value = self._find(path)
        return tuple(value) if isinstance(value, list | tuple) else ()

    def is_on(self, *path: str) -> bool:
        """Whether a switch of the configuration is known to be on."""
        return self._find(path) is True

    def _find(self, path: tuple[str, ...]) -> Any:
        place: Any = self.config
        for name in path:
            place = place.get(name) if isinstance(place, Mapping) else None
        return place

    @property
    def copilot(self) -> Sequence[TrainingRecord]:
        """The records that show the co-pilot at work: all of a run that trains nothing else."""
        return self.records if self.is_on("loop", "copilot_only") else self.joint

    @property
    def last_step(self) -> int:
        return self.records[-1].step

    @property
    def is_finished(self) -> bool | None:
        """Whether the run reached its last step; None when the configuration is not known."""
        steps = self.setting("steps")
        return None if steps is None else self.last_step >= steps


def joint_records(records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
    """The records after the co-pilot's warm-up, in which there is no loss of images, nor of an
    adaptation's wide codes."""
    return [
        record
        for record in records
        if any((record.number(key) or 0.0) > 0 for key in ("diffusion", "embedding"))
    ]


def series(records: Sequence[TrainingRecord], key: str) -> np.ndarray:
    """The finite values of `key`, (n,)."""
    values = [record.number(key) for record in records]
    return np.array([value for value in values if value is not None], dtype=float)


def last(records: Any, share: float) -> Any:
    """The last `share` of a list or array, at least one item."""
    return records[-max(1, math.ceil(share * len(records))) :]


class Change(NamedTuple):
    """Means of the third and the last quarter, and whether they differ beyond the noise."""

    before: float
    after: float
    is_significant: bool


def last_change(values: np.ndarray) -> Change | None:
    """Compare the last two quarters of a series; None when it is too short."""
    quarter = len(values) // 4
    if len(values) < MINIMUM_RECORDS:
        return None
    before, after = values[-2 * quarter : -quarter], values[-quarter:]
    error = math.sqrt((before.var(ddof=1) + after.var(ddof=1)) / quarter)
    difference = float(after.mean() - before.mean())
    is_significant = abs(difference) > SIGNIFICANT * error
    return Change(float(before.mean()), float(after.mean()), is_significant)


def dimensions_table(
    records: Sequence[TrainingRecord],
) -> tuple[np.ndarray, np.ndarray] | None:
    """The co-pilot's KL per dimension over time: steps (n,) and nats (n, N).

    Records without such a list, or with one of another length than the last, are left out; None
    when no record is left.
    """
    rows = [(each.step, each.kl_per_dimension) for each in records if each.kl_per_dimension]
    rows = [(step, row) for step, row in rows if len(row) == len(rows[-1][1])]
    if not rows:
        return None
    return np.array([step for step, _ in rows]), np.array([row for _, row in rows], dtype=float)


def final_dimensions(records: Sequence[TrainingRecord]) -> np.ndarray | None:
    """The co-pilot's KL per dimension at the end, (N,) nats, mean over the last tenth."""
    table = dimensions_table(records)
    return None if table is None else np.array(last(table[1], END_SHARE)).mean(axis=0)


def used_dimensions(records: Sequence[TrainingRecord]) -> int | None:
    """How many of the co-pilot's dimensions are used at the end; None when it is not known."""
    kl = final_dimensions(records)
    return None if kl is None else int((kl > USED_DIMENSION).sum())
