"""
How much one process, one user and one client may take.

Pure: the clock is the caller's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

EVERYBODY = object()  # every connection of the process, also those that are not signed in yet


class Tally:
    """How many there are of each thing now, and never more than allowed. For all threads."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def __getitem__(self, thing: Hashable) -> int:
        return self._counts.get(thing, 0)

    @contextmanager
    def one_more(self, thing: Hashable, most: int) -> Iterator[bool]:
        """Count one more while the block runs. False: there are so many that it does not count."""
        with self._lock:
            is_free = self[thing] < most
            if is_free:
                self._counts[thing] = self[thing] + 1
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._counts[thing] -= 1
                    if not self._counts[thing]:
                        del self._counts[thing]


class Bucket:
    """
    A token bucket: ``burst`` at once, and ``rate`` a second in the long run.

        >>> bucket = Bucket(rate=1.0, burst=2, now=0.0)
        >>> [bucket.take(0.0), bucket.take(0.0), bucket.take(0.0), bucket.take(1.0)]
        [True, True, False, True]

    Attributes:
        refused: how often it was empty since it was full.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate", "refused")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.refused = 0
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may pass at this moment, in seconds of a clock that never steps back."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left == self._burst:
            self.refused = 0
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True


connections = Tally()


def _forget() -> None:
    """A child has none of its parent's connections."""
    global connections
    connections = Tally()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
