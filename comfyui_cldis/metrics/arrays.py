"""A representation given as arrays: any method's codes and the factors of the same items.

Nothing can be drawn that is not there, so draws come from the rows: the first two thirds train and
the rest test, a held factor means rows that share its value, and pairs that differ in one factor
alone are looked up.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from .representation import CodesOf, Labelled, NotApplicable, Representation

MIN_ROWS = 30
MIN_PAIRS = 100  # the correlation of unrelated dimensions then errs by .1
MAX_UNSEEN = 0.5
MAX_CODE = 1e18  # trees compute in float32
_NAMES = ("codes", "factors")
_ADVICE = "Write it with numpy.savez(path, codes=codes, factors=factors)."


def load_representation(path: Path) -> ArrayRepresentation:
    """Read `codes` (n, N) numbers and `factors` (n, K) integers from an .npz file.

    Raises:
        FileNotFoundError, ValueError: one sentence with the fact and one with the remedy.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. {_ADVICE}")
    try:
        stored = _read(path)
    except (BadZipFile, EOFError, OSError, ValueError, zlib.error) as error:
        # numpy answers objects and files of other kinds alike: it offers to unpickle them.
        reason = "pickled data" if "pickle" in str(error) else str(error)
        raise ValueError(
            f"{path} is no readable .npz file of numbers ({reason}). {_ADVICE}"
        ) from error
    missing = [name for name in _NAMES if name not in stored]
    if missing:
        found = ", ".join(stored) or "nothing"
        raise ValueError(f"{path} lacks {' and '.join(missing)}; it holds {found}. {_ADVICE}")
    try:
        return from_arrays(stored["codes"], stored["factors"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name; those that nobody asked for are empty."""
    loaded = np.load(path, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with loaded as archive:
        return {name: archive[name] if name in _NAMES else np.empty(0) for name in archive.files}


def from_arrays(
    codes: np.ndarray, factors: np.ndarray, label: str = "given"
) -> ArrayRepresentation:
    """A representation of n items: codes (n, N) real numbers, factors (n, K) integers.

    Factor values may be any integers; only their order is kept.

    Raises:
        ValueError: wrong shape or type, NaN or infinity, too few rows, or a factor without two
            values or with hardly any value twice.
    """
    codes, factors = np.asarray(codes), np.asarray(factors)
    _check_shapes(codes, factors)
    _check_numbers(codes, factors)
    columns = []
    for k in range(factors.shape[1]):
        values, ranks = np.unique(factors[:, k], return_inverse=True)
        if len(values) < 2:
            raise ValueError(
                f"factors[:, {k}] takes only the value {values[0]}. Drop this column, or give rows "
                "in which the factor varies."
            )
        if 2 * len(values) > len(ranks):
            raise ValueError(
                f"factors[:, {k}] takes {len(values)} different values in {len(ranks)} rows, so "
                "hardly any value occurs twice. Give more rows, or sort the values into fewer bins."
            )
        columns.append(ranks.reshape(-1))
    return ArrayRepresentation(
        codes.astype(np.float64), np.stack(columns, axis=1).astype(np.int64), label
    )


def _check_shapes(codes: np.ndarray, factors: np.ndarray) -> None:
    for name, array, columns in (("codes", codes, "N"), ("factors", factors, "K")):
        if array.ndim != 2 or array.shape[1] == 0:
            raise ValueError(
                f"{name} has the shape {array.shape}; expected (n, {columns}). Give one row per "
                "item and one column per dimension."
            )
    if len(codes) != len(factors):
        raise ValueError(
            f"codes has {len(codes)} rows and factors has {len(factors)}. Give the factors of the "
            "same items, in the same order."
        )
    if len(codes) < MIN_ROWS:
        raise ValueError(
            f"There are only {len(codes)} rows; at least {MIN_ROWS} are needed, and the protocol "
            "uses 15,000. Encode more items."
        )


def _check_numbers(codes: np.ndarray, factors: np.ndarray) -> None:
    if codes.dtype.kind not in "fiu":
        raise ValueError(f"codes has the type {codes.dtype}. Give real numbers, such as float32.")
    bad = ~np.isfinite(codes)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"codes holds {int(bad.sum())} values that are NaN or infinite, the first in row {row},"
            f" column {column}. Drop these rows, or fix the encoder."
        )
    largest = np.abs(codes).max()
    if largest > MAX_CODE:
        raise ValueError(
            f"codes holds the value {largest:.3g}; squares of numbers beyond {MAX_CODE:.0e} "
            "overflow. Rescale the dimension, or drop it."
        )
    if factors.dtype.kind == "f" and not np.isfinite(factors).all():
        raise ValueError("factors holds NaN or infinity. Give an integer for every item.")
    if factors.dtype.kind not in "iub":
        raise ValueError(
            f"factors has the type {factors.dtype}; expected integers, the index of each value. "
            "Convert them with numpy.unique(column, return_inverse=True)."
        )


class _ByValue(NamedTuple):
    """The rows sorted by one factor: `order` (n,), and for each row its run in it."""

    order: np.ndarray
    position: np.ndarray  # of each row in `order`
    start: np.ndarray  # of each row's value in `order`
    count: np.ndarray  # rows that share each row's value
    usable: np.ndarray  # rows whose value occurs more than once


@dataclass(frozen=True)
class ArrayRepresentation:
    """Given rows. Build it with `from_arrays`, which checks them."""

    codes: np.ndarray
    factors: np.ndarray
    label: str = "given"

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.factors.max(axis=0) + 1)

    def sample(self, rng: np.random.Generator, count: int) -> Labelled:
        return Labelled(self.codes, self.factors)

    def sample_split(
        self, rng: np.random.Generator, num_train: int, num_test: int, *, cap_rows: bool = False
    ) -> tuple[Labelled, Labelled]:
        cut = 2 * len(self.codes) // 3
        train, test = slice(0, cut), slice(cut, None)
        if cap_rows:
            train, test = slice(0, min(cut, num_train)), slice(cut, cut + num_test)
        for k, column in enumerate(self.factors.T):
            seen = np.unique(column[train])
            unseen = float(np.mean(~np.isin(column[test], seen)))
            if len(seen) < 2 or unseen > MAX_UNSEEN:
                raise ValueError(
                    f"factors[:, {k}] takes {len(seen)} values in the first two thirds of the rows,"
                    f" which train, and {unseen:.0%} of the rest has values not among them. "
                    "Shuffle the rows (codes and factors alike), or give more."
                )
        return (
            Labelled(self.codes[train], self.factors[train]),
            Labelled(self.codes[test], self.factors[test]),
        )

    def sample_fixed(self, rng: np.random.Generator, held: np.ndarray, size: int) -> np.ndarray:
        rows = np.empty((len(held), size), dtype=np.int64)
        for k in np.unique(held):
            index = self._by_value[k]
            votes = held == k
            chosen = rng.choice(index.usable, size=(int(votes.sum()), 1))
            draws = rng.random((len(chosen), size)) * index.count[chosen]
            rows[votes] = index.order[index.start[chosen] + draws.astype(np.int64)]
        return self.codes[rows]

    def sample_sharing(
        self, rng: np.random.Generator, held: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        first = np.empty((len(held), size), dtype=np.int64)
        second = np.empty_like(first)
        for k in np.unique(held):
            index = self._by_value[k]
            votes = held == k
            chosen = rng.choice(index.usable, size=(int(votes.sum()), size))
            count, start = index.count[chosen], index.start[chosen]
            # A step of 1 .. count - 1 round the run of equal values never ends at the row itself.
            step = 1 + (rng.random(chosen.shape) * (count - 1)).astype(np.int64)
            first[votes] = chosen
            second[votes] = index.order[start + (index.position[chosen] - start + step) % count]
        return self.codes[first], self.codes[second]

    def sample_changing(
        self, rng: np.random.Generator, factor: int, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        others = np.delete(self.factors, factor, axis=1)
        shuffled = rng.permutation(len(self.codes))
        if others.shape[1]:
            group = np.unique(others[shuffled], axis=0, return_inverse=True)[1].reshape(-1)
        else:
            group = np.zeros(len(shuffled), dtype=np.int64)
        order = np.argsort(group, kind="stable")
        rows, group = shuffled[order], group[order]
        start = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        within = np.arange(len(rows)) - np.repeat(start, np.diff(np.r_[start, len(rows)]))
        left = np.flatnonzero((within[:-1] % 2 == 0) & (group[:-1] == group[1:]))
        first, second = rows[left], rows[left + 1]
        differ = self.factors[first, factor] != self.factors[second, factor]
        # In random order: cut as they lie, they would keep few values of the other factors.
        kept = rng.permutation(np.flatnonzero(differ))
        first, second = first[kept], second[kept]
        if len(first) < MIN_PAIRS:
            raise NotApplicable(
                f"needs at least {MIN_PAIRS} pairs of rows that differ in factor {factor} alone, "
                f"and these rows hold {len(first)}"
            )
        return self.codes[first[:count]], self.codes[second[:count]]

    def recoded(self, codes_of: CodesOf, label: str) -> Representation:
        return ArrayRepresentation(
            np.asarray(codes_of(self.factors), np.float64), self.factors, label
        )

    def describe(self) -> dict[str, Any]:
        return {
            "source": "rows",
            "codes": self.label,
            "num_rows": len(self.codes),
            "num_codes": self.codes.shape[1],
            "factor_sizes": list(self.sizes),
        }

    @cached_property
    def _by_value(self) -> list[_ByValue]:
        indices = []
        for k, column in enumerate(self.factors.T):
            order = np.argsort(column, kind="stable")
            position = np.empty_like(order)
            position[order] = np.arange(len(order))
            counts = np.bincount(column)
            count = counts[column]
            start = (np.cumsum(counts) - counts)[column]
            usable = np.flatnonzero(count > 1)
            if not len(usable):
                raise NotApplicable(f"no value of factor {k} occurs twice")
            indices.append(_ByValue(order, position, start, count, usable))
        return indices
