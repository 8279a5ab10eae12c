"""A limit that threads share, so that what they hold together stays bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """A number of units, lent to threads; who asks for more than is left waits."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._left = total
        self._changed = threading.Condition()

    @contextmanager
    def lend(self, amount: int) -> Iterator[None]:
        """Takes `amount` units for the length of a `with` block.

        Raises:
            ValueError: more than there are at all, so that waiting would never end.
        """
        if amount > self.total:
            raise ValueError(
                f"{amount:,} are more than the {self.total:,} there are. Ask for no more than that."
            )
        with self._changed:
            self._changed.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            with self._changed:
                self._left += amount
                self._changed.notify_all()
