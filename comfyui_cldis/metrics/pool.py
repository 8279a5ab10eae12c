"""One drawing of items for all metrics: they score the same items, and each is encoded once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .representation import CodesOf, Labelled, Representation


@dataclass(frozen=True)
class Pooled:
    """`source`, but equal requests for items get equal items, drawn from `seed` and not from `rng`.

    Held, shared and changed factors are drawn anew each time, as from the source.
    """

    source: Representation
    seed: int
    _samples: dict[int, Labelled] = field(default_factory=dict)
    _splits: dict[tuple[int, int, bool], tuple[Labelled, Labelled]] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.source.sizes

    def sample(self, rng: np.random.Generator, count: int) -> Labelled:
        if count not in self._samples:
            own = np.random.default_rng([self.seed, count])
            self._samples[count] = self.source.sample(own, count)
        return self._samples[count]

    def sample_split(
        self, rng: np.random.Generator, num_train: int, num_test: int, *, cap_rows: bool = False
    ) -> tuple[Labelled, Labelled]:
        request = (num_train, num_test, cap_rows)
        if request not in self._splits:
            own = np.random.default_rng([self.seed, num_train, num_test])
            self._splits[request] = self.source.sample_split(
                own, num_train, num_test, cap_rows=cap_rows
            )
        return self._splits[request]

    def sample_fixed(self, rng: np.random.Generator, held: np.ndarray, size: int) -> np.ndarray:
        return self.source.sample_fixed(rng, held, size)

    def sample_sharing(
        self, rng: np.random.Generator, held: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.source.sample_sharing(rng, held, size)

    def sample_changing(
        self, rng: np.random.Generator, factor: int, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.source.sample_changing(rng, factor, count)

    def recoded(self, codes_of: CodesOf, label: str) -> Representation:
        return Pooled(self.source.recoded(codes_of, label), self.seed)

    def describe(self) -> dict[str, Any]:
        return self.source.describe()
